"""Means of the values of measurements with their intervals, arithmetic or harmonic."""

from __future__ import annotations

import math

import numpy as np

from bench.stats.inference import mean_interval

Ends = tuple[float | None, float | None, float | None]  # mean, low, high


def averaged(values: np.ndarray, is_harmonic: bool, level: float) -> Ends:
    """Return mean, low and high of values of measurements (n,) or (n, seeds); a single one has no interval."""
    table = (1 / values if is_harmonic else values).reshape(len(values), -1, 1)
    mean, low, high = (float(end[0]) for end in mean_interval(table, level))
    return reciprocal_ends(mean, low, high) if is_harmonic else ends(mean, low, high)


def ends(mean: float, low: float, high: float) -> Ends:
    """Return the three numbers, with None in place of those that are not finite."""
    kept = [value if math.isfinite(value) else None for value in (mean, low, high)]
    return kept[0], kept[1], kept[2]


def reciprocal_ends(mean: float, low: float, high: float) -> Ends:
    """Return harmonic mean, low and high, from the mean of the reciprocals (errors) and the ends of its interval.

    Where the interval of the error contains zero, the high end is infinite. Where the mean error is not above zero
    there is no mean, but a low end. The ends are None where there is no interval.
    """
    center = 1 / mean if mean > 0 else None
    if not math.isfinite(high):
        return center, None, None
    return center, (1 / high if high > 0 else None), (1 / low if low > 0 else math.inf)
