"""What the samples of all measurements of a task have together: one number per run, an interval where there is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.stats.columns import LEFT_OUT
from bench.stats.results import REFERENCE, Score, Task, in_words

ENDS = ("_low", "_high")  # end the id of an interval's ends, which go into the line of their metric
FLOOR = "_floor_"  # what real images have, in the rows of the reference alone

Line = tuple[str, str, float | None, float | None, float | None, int, str]  # as a line of summary.csv, without its task


def set_lines(task: Task, methods: Sequence[str]) -> list[Line]:
    """A line for the reference, each method, and each metric of all samples together; seeds are averaged."""
    scores: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in task.of_sets:
        scores[score.method, score.metric].append(score)
    names = dict.fromkeys(metric for _, metric in scores if not metric.endswith(ENDS))
    lines = []
    for method in (REFERENCE, *methods):
        for name in names:
            if (method, name) in scores:
                ends = [_mean(scores[method, f"{name}{end}"]) for end in ENDS]
                lines.append((method, name, *_line(scores[method, name], *ends)))
            elif method in task.left_out and FLOOR not in name:
                lines.append((method, name, None, None, None, 0, LEFT_OUT))
    return lines


def _line(scores: Sequence[Score], low: float | None, high: float | None) -> tuple:
    stopped = next((score.reason for score in scores if score.value is None), "")
    if stopped:
        return None, None, None, int(not stopped.startswith("n/a")), in_words("failed", stopped)
    return _mean(scores), low, high, 0, ""


def _mean(scores: Sequence[Score]) -> float | None:
    values = [score.value for score in scores]
    return float(np.mean(values)) if values and None not in values else None
