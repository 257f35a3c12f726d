"""Results of a suite in which a claim's effect has a chosen size, for tests of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path

import numpy as np

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import (
    CostAtEqualWorth,
    Farther,
    Growth,
    MoreDiverse,
    NearerDiversity,
    Quicker,
    WorstOverBest,
    WorthPerRow,
)
from bench.stats.results import RunRecord, SuiteResults, TaskResults
from bench.stats.scores import Score

NUM, NUM_SAMPLES, SEEDS, NOISE = 12, 64, (0, 1), 0.02
VISITS = (1.0, 1.02, 0.98, 1.01)  # how much slower the machine is at each


@dataclass
class Row:
    """What a row has on each task: the mean of each column, costs, and seconds of a timed call by number of samples."""

    scores: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    visits: tuple[float, ...] = VISITS  # factors of the seconds
    later: tuple[float, ...] = (1, 1, 1, 1)  # further ones of the largest number of samples
    status: str = "ok"
    failed: frozenset[int] = frozenset()
    num: int = NUM


def suite(
    rows: Mapping[str, Row], tasks: tuple[str, ...], seeds: tuple[int, ...] = SEEDS
) -> SuiteResults:
    """Return a suite with these rows on all the tasks; values scatter by 2 %."""
    rng = np.random.default_rng(0)
    timings = tuple(
        _timing(task, name, row) for task in tasks for name, row in rows.items() if row.seconds
    )
    return SuiteResults(
        Path("nowhere"),
        "made",
        tuple(rows),
        seeds,
        NUM,
        NUM_SAMPLES,
        tuple(_task(task, rows, seeds, rng) for task in tasks),
        (),
        timings,
    )


def _task(
    task: str, rows: Mapping[str, Row], seeds: tuple[int, ...], rng: np.random.Generator
) -> TaskResults:
    scores, runs = [], []
    for name, row in rows.items():
        for seed in seeds:
            costs = {"nfe": 10.0, "nfe_vjp": 10.0, "train_seconds": 0.0, "train_nfe": 0}
            costs |= {"train_nfe_vjp": 0} | row.costs
            runs.append(RunRecord(name, seed, {"status": row.status, "reason": "needs it"}, costs))
            for metric, mean in row.scores.items():
                for i in range(row.num):
                    value = mean * (1 + NOISE * rng.normal())
                    reason = "failed (ValueError: step 3)" if i in row.failed else ""
                    scores.append(Score(name, seed, i, metric, None if reason else value, reason))
    worths = frozenset(score.metric for score in scores if score.metric.startswith("worth"))
    return TaskResults(task, {}, {}, tuple(scores), {}, {}, tuple(runs), harmonic=worths)


def _timing(task: str, method: str, row: Row) -> dict:
    curve = [
        {
            "s": s,
            "nfe": 10.0,
            "nfe_vjp": 10.0,
            "median": seconds,
            "medians": [
                seconds * v * (w if s == max(row.seconds) else 1)
                for v, w in zip(row.visits, row.later, strict=False)
            ],
        }
        for s, seconds in row.seconds.items()
    ]
    return {"task": task, "method": method, "curve": curve}


def with_effect(claim: Claim, value: float) -> SuiteResults:
    """Return results in which the claim's effect is `value`."""
    assert claim.test is not None
    return suite(rows_of(claim.test, value), claim.tasks)


@singledispatch
def rows_of(test: object, value: float) -> dict[str, Row]:
    """Return rows between which an effect is `value`."""
    raise NotImplementedError(test)


def _two(test, column: str, one: float, other: float) -> dict[str, Row]:
    psnr = {"psnr_mean": 20.0} if isinstance(test, MoreDiverse) else {}
    return {
        name: Row({column: mean} | psnr, seconds={NUM_SAMPLES: 1.0})
        for name, mean in zip(test.rows, (one, other), strict=True)
    }


@rows_of.register
def _(test: Farther, value: float) -> dict[str, Row]:
    return _two(test, test.column, value**2, 1.0)


@rows_of.register
def _(test: WorstOverBest, value: float) -> dict[str, Row]:
    worst, *others = test.rows
    return {
        worst: Row({test.column: value**2}),
        **{name: Row({test.column: 1.0}) for name in others},
    }


@rows_of.register
def _(test: WorthPerRow, value: float) -> dict[str, Row]:
    return _two(test, test.column, 10 * value, 10.0)


@rows_of.register
def _(test: MoreDiverse, value: float) -> dict[str, Row]:
    return _two(test, "diversity_ratio", value, 1.0)


@rows_of.register
def _(test: NearerDiversity, value: float) -> dict[str, Row]:
    return _two(test, "diversity_ratio", float(np.exp(-0.5 - value)), float(np.exp(0.5)))


@rows_of.register
def _(test: Growth, value: float) -> dict[str, Row]:
    few = 2.0
    worth = {f"{test.column}@{test.few}": few, f"{test.column}@{test.many}": few * 8**value}
    return {test.row: Row(worth, seconds={test.few: 1.0, test.many: 8.0})}


@rows_of.register
def _(test: CostAtEqualWorth, value: float) -> dict[str, Row]:
    rows = _two(test, test.column, 20 / value, 10.0)
    num_rows = 20.0 * NUM_SAMPLES * test.num_measurements
    rows[test.row].costs = {"train_nfe": num_rows, "train_seconds": float(test.num_measurements)}
    return rows


@rows_of.register
def _(test: Quicker, value: float) -> dict[str, Row]:
    rows = _two(test, "energy", 1.0, 1.0)
    rows[test.other].seconds = {test.num_samples: value}
    rows[test.other].visits = (1.01, 1.0, 1.0, 0.99)
    return rows
