"""Intervals of the effects by which claims are judged; pure functions of arrays `(n, s)`: measurements, seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import stdtrit

from bench.stats.inference import mean_interval

LEVEL = 0.95
ACCURACY = 1e-6  # relative, of the ends of a ratio
_DOUBLINGS = 40  # how often the step is doubled in the search for the upper end of a ratio


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval; they are NaN where a single value gives no interval."""

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

    The interval contains the ratios r >= 0 for which the interval of the mean of one - r * other contains 0 (Fieller
    1954). So it lies below a margin if and only if the paired comparison with `margin * other` does. It ends at
    infinity where the mean of `other` cannot be told from 0. No single values are divided: unbiased estimates may be
    negative even where the quantity never is.
    """

    def lower(ratio: float) -> float:
        return mean_of(one - ratio * other, level).low

    def upper(ratio: float) -> float:
        return mean_of(one - ratio * other, level).high

    below, above = float(one.mean()), float(other.mean())
    if len(one) < 2 or above <= 0:
        return Interval(below / above if above > 0 else math.inf, math.nan, math.nan)
    value = max(below / above, 0.0)
    low = _root(lower, 0.0, value) if lower(0.0) > 0 else 0.0
    return Interval(value, low, _upper_end(upper, value, abs(value) or abs(below) / above))


def _upper_end(upper: Callable[[float], float], value: float, scale: float) -> float:
    """Return the ratio above `value` at which the upper end of the difference falls below 0; infinity if none does."""
    for power in range(_DOUBLINGS):
        beyond = value + scale * 2.0 ** (power - 4)
        if upper(beyond) < 0:
            return _root(upper, value, beyond)
    return math.inf


def _root(end: Callable[[float], float], low: float, high: float) -> float:
    return root_scalar(end, bracket=(low, high), method="brentq", rtol=ACCURACY).root


def ratio_over_visits(one: np.ndarray, other: np.ndarray | float, level: float = LEVEL) -> Interval:
    """Return the ratio of two times `(visits,)`, paired by visit of the clock, with Student's interval of the logs."""
    logs = np.log(one / other)
    if len(logs) < 2:
        return Interval(float(np.exp(logs.mean())), math.nan, math.nan)
    half = stdtrit(len(logs) - 1, 0.5 + level / 2) * logs.std(ddof=1) / math.sqrt(len(logs))
    return Interval(logs.mean(), logs.mean() - half, logs.mean() + half).map(math.exp)


def combined(function: Callable[..., float], *parts: Interval) -> Interval:
    """Return a function of estimates, monotone in each, with its smallest and largest value over their intervals.

    If the intervals of `num` parts have the level `shared(num)`, that of the result has at least LEVEL (Bonferroni).
    """
    ends = [(part.low, part.high) for part in parts]
    corners = [function(*corner) for corner in itertools.product(*ends)]
    return Interval(function(*(part.value for part in parts)), min(corners), max(corners))


def shared(num: int) -> float:
    """Return the level that each of `num` intervals needs so that all hold together with LEVEL."""
    return 1 - (1 - LEVEL) / num


def exact(value: float) -> Interval:
    """Return an interval of length 0 for a value that is counted, not estimated."""
    return Interval(value, value, value)
