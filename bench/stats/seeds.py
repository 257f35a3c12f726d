"""How far the trainings of a row, one for each seed, are apart."""

from __future__ import annotations

import math

import numpy as np

from bench.core.results import REFERENCE
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.values import values_of_task

Spreads = dict[tuple[str, str], float]  # by method and metric


def seed_spreads(task: TaskResults, suite: SuiteResults) -> Spreads:
    """Return, of each row with several seeds and each metric, the standard deviation over seeds of the seeds' means.

    The mean of a seed is over measurements, of a harmonic metric the harmonic one. Measurements are the same for all
    seeds, so what is left is the seed: the training, where there is one, and the draws.
    """
    spreads = {}
    for (method, metric), column in values_of_task(task, suite).items():
        if method == REFERENCE or column.failed or not column.values:
            continue
        values = column.array()
        if values.shape[1] > 1:
            spread = _means(values, metric in task.harmonic).std(ddof=1)
            if math.isfinite(spread):
                spreads[method, metric] = float(spread)
    return spreads


def _means(values: np.ndarray, is_harmonic: bool) -> np.ndarray:
    """Return the mean over measurements of each seed, (n, s) -> (s,)."""
    if not is_harmonic:
        return values.mean(0)
    with np.errstate(divide="ignore"):
        return 1 / (1 / values).mean(0)
