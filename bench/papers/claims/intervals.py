"""Intervals of the effects that claims are judged by. Pure functions of arrays `(n, s)`: measurements, seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from bench.stats.inference import mean_interval

LEVEL = 0.95
_DOUBLINGS, _HALVINGS = 40, 50  # of a ratio, while the end of its interval is searched


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval, which are NaN where one value has none."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Return whether there is an interval: two different ends."""
        return not math.isnan(self.low) and not math.isnan(self.high) and self.low < self.high

    def map(self, function: Callable[[float], float]) -> Interval:
        """Return the interval of a monotone function of the estimate."""
        low, high = sorted((function(self.low), function(self.high)))
        return Interval(function(self.value), low, high)


def mean_of(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the mean of values `(n, s)` over measurements and seeds."""
    return Interval(*(float(end[0]) for end in mean_interval(values[..., None], level)))


def ratio_of_means(one: np.ndarray, other: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the mean of `one` (n, s) over the mean of `other`, paired; both have true means of at least 0.

    The interval holds the ratios r at 0 or above for which the interval of the mean of one - r * other holds 0 (Fieller
    1954), so it lies below a margin if and only if the paired comparison with `margin * other` says so. It ends at
    infinity where the mean of `other` cannot be told from 0, and nothing is divided by single values, which may be
    negative where they are unbiased estimates of what is never negative.
    """

    def side(ratio: float) -> float:
        """Return -1, 0 or 1: the interval of the mean of one - ratio * other lies below 0, holds it, lies above."""
        ends = mean_of(one - ratio * other, level)
        return 1.0 if ends.low > 0 else -1.0 if ends.high < 0 else 0.0

    below, above = float(one.mean()), float(other.mean())
    if len(one) < 2 or above <= 0:
        return Interval(below / above if above > 0 else math.inf, math.nan, math.nan)
    value = max(below / above, 0.0)
    return Interval(value, _lower_end(side, value), _upper_end(side, value, below, above))


def _lower_end(side: Callable[[float], float], value: float) -> float:
    """Return the smallest ratio from 0 to `value` that is not too small."""
    if side(0.0) <= 0:
        return 0.0
    return _bisected(lambda ratio: side(ratio) > 0, 0.0, value)


def _upper_end(side: Callable[[float], float], value: float, below: float, above: float) -> float:
    """Return the largest ratio from `value` on that is not too large; infinity where none is."""
    start = abs(value) or abs(below) / above or 1e-6
    for power in range(_DOUBLINGS):
        if side(value + start * 2.0**power) < 0:
            return _bisected(lambda ratio: side(ratio) >= 0, value, value + start * 2.0**power)
    return math.inf


def _bisected(is_before: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a condition that holds at `low` and not at `high` ends."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_before(middle) else (low, middle)
    return (low + high) / 2


def ratio_over_visits(one: np.ndarray, other: np.ndarray | float, level: float = LEVEL) -> Interval:
    """Return the ratio of two times `(visits,)`, paired by visit of the clock, by Student's t of the logs."""
    logs = np.log(one / other)
    if len(logs) < 2:
        return Interval(float(np.exp(logs.mean())), math.nan, math.nan)
    half = stdtrit(len(logs) - 1, 0.5 + level / 2) * logs.std(ddof=1) / math.sqrt(len(logs))
    return Interval(logs.mean(), logs.mean() - half, logs.mean() + half).map(math.exp)


def combined(function: Callable[..., float], *parts: Interval) -> Interval:
    """Return a function of several estimates, monotone in each, with its least and largest value over their intervals.

    Parts with intervals of the level `shared(num)` give one of LEVEL or above (Bonferroni).
    """
    ends = [(part.low, part.high) for part in parts]
    corners = [function(*corner) for corner in itertools.product(*ends)]
    return Interval(function(*(part.value for part in parts)), min(corners), max(corners))


def shared(num: int) -> float:
    """Return the level of each of `num` intervals that hold together with LEVEL."""
    return 1 - (1 - LEVEL) / num


def exact(value: float) -> Interval:
    """Return what is counted, not estimated."""
    return Interval(value, value, value)
