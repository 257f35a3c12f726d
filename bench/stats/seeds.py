"""The spread of a row's results over its seeds, each of which is a training."""

from __future__ import annotations

import math

from bench.core.results import REFERENCE
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.values import values_of_task

Spreads = dict[tuple[str, str], float]  # by method and metric


def seed_spreads(task: TaskResults, suite: SuiteResults) -> Spreads:
    """Return, for each row with several seeds and each metric, the standard deviation over seeds of the seeds' means.

    The mean of a seed is over measurements, and harmonic for a harmonic metric. Measurements are the same for all
    seeds, so seeds differ by the training, where there is one, and by the draws.
    """
    return suite.once_of(task, "spreads", lambda: _spreads(task, suite))


def _spreads(task: TaskResults, suite: SuiteResults) -> Spreads:
    spreads = {}
    for (method, metric), column in values_of_task(task, suite).items():
        if method == REFERENCE or column.failed or not column.values:
            continue
        if len(next(iter(column.values.values()))) == 1:
            continue
        # of a harmonic metric these are reciprocals of its values
        means = column.array().mean(0)
        means = 1 / means if column.is_harmonic else means
        if math.isfinite(spread := means.std(ddof=1)):
            spreads[method, metric] = float(spread)
    return spreads
