"""A suite in memory, from values of its metrics alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.stats.results import Better, SuiteResults, TaskResults
from bench.stats.scores import Score

FAILED = "failed (told to)"


def suite_of(
    values: Mapping[tuple[str, str, str], np.ndarray],
    better: Mapping[str, Better],
    restricted: Mapping[tuple[str, str], int] | None = None,
    harmonic: Sequence[str] = (),
) -> SuiteResults:
    """`values[task, method, metric]` is (n, s); NaN is a failure, what is beyond `restricted[task, method]` is n/a."""
    tasks, methods, _ = (tuple(dict.fromkeys(key[place] for key in values)) for place in range(3))
    num, seeds = next(iter(values.values())).shape
    of_task = []
    for task in tasks:
        scores: list[Score] = []
        for (where, method, metric), array in values.items():
            kept = (restricted or {}).get((task, method), num)
            scores += _scores(method, metric, array, kept) if where == task else []
        left_out = frozenset(methods) - {method for where, method, _ in values if where == task}
        of_task.append(
            TaskResults(
                task,
                {},
                {},
                tuple(scores),
                {},
                dict(better),
                (),
                left_out,
                harmonic=frozenset(harmonic),
            )
        )
    return SuiteResults(
        Path("."), "scored", methods, tuple(range(seeds)), num, 1, tuple(of_task), ()
    )


def _scores(method: str, metric: str, array: np.ndarray, kept: int) -> Sequence[Score]:
    found = []
    for (i, seed), value in np.ndenumerate(array):
        reason = (
            "" if i < kept and np.isfinite(value) else FAILED if i < kept else "n/a (not tried)"
        )
        found.append(Score(method, seed, i, metric, None if reason else float(value), reason))
    return found
