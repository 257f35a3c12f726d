"""Metrics of the samples of all measurements together: one number per run, an interval where there is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.core.results import LEFT_OUT, REFERENCE, Summary
from bench.stats.results import TaskResults, format_reason
from bench.stats.scores import Score

ENDS = (
    "_low",
    "_high",
)  # endings of the ids of an interval's ends, which go into the line of their metric
FLOOR = (
    "_floor_"  # in the ids of values of real images, which are in the rows of the reference alone
)


def set_lines(task: TaskResults, methods: Sequence[str]) -> list[Summary]:
    """Return a line for the reference, each method, and each metric of all samples together; seeds are averaged."""
    scores: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in task.of_sets:
        scores[score.method, score.metric].append(score)
    names = dict.fromkeys(metric for _, metric in scores if not metric.endswith(ENDS))
    lines = []
    for method in (REFERENCE, *methods):
        for name in names:
            if (method, name) in scores:
                ends = [_mean(scores[method, f"{name}{end}"]) for end in ENDS]
                lines.append(Summary(task.name, method, name, *_line(scores[method, name], *ends)))
            elif method in task.left_out and FLOOR not in name:
                lines.append(Summary(task.name, method, name, None, None, None, 0, LEFT_OUT))
    return lines


def _line(scores: Sequence[Score], low: float | None, high: float | None) -> tuple:
    stopped = next((score.reason for score in scores if score.value is None), "")
    if stopped:
        return (
            None,
            None,
            None,
            int(not stopped.startswith("n/a")),
            format_reason("failed", stopped),
        )
    return _mean(scores), low, high, 0, ""


def _mean(scores: Sequence[Score]) -> float | None:
    values = [score.value for score in scores]
    return float(np.mean(np.array(values))) if values and None not in values else None
