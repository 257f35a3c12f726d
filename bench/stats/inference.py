"""Intervals, tests and their power for means over measurements. Pure functions of arrays.

Values are `(n, s, k)`: n measurements, s seeds, k columns. Measurements and seeds are crossed random factors: seeds are
averaged within a measurement, and the effect of a seed on all measurements at once (another training of a network)
widens every interval and weakens every test. With one seed this effect is not known, and results hold for one training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import stdtr, stdtrit

ALPHA, POWER = 0.05, 0.8
_MOST_EXACT = 24  # measurements whose sign patterns are all counted; beyond, random ones
_NUM_PATTERNS = 2**14
_BLOCK = 256  # columns whose random patterns or resamples are summed at a time
# of the sum of two columns' sizes: 32 additions of doubles then err by less than the 1e-9 of `_distances`
_NEARLY_EQUAL = 1e-4
_ENOUGH_PATTERNS = 500  # with so many patterns below alpha, the power is Student's


@dataclass(frozen=True)
class Estimate:
    """Means of k columns, their standard errors over measurements and seeds, and Student's degrees of freedom."""

    mean: np.ndarray
    error: np.ndarray
    dof: np.ndarray

    def half_width(self, level: float) -> np.ndarray:
        return stdtrit(self.dof, 0.5 + level / 2) * self.error


def estimate(values: np.ndarray) -> Estimate:
    """Return the mean of columns `(n, s, k)`, n at least 2, with the error of two crossed random factors.

    Two-way analysis of variance without replication; degrees of freedom after Satterthwaite (1946). A negative
    variance of seeds counts as none. Resampling the seeds would not do: percentiles of a bootstrap over both factors
    cover 73 % to 93 % in place of 95 %, for 2 to 5 seeds with an effect.
    """
    num, seeds, _ = values.shape
    mean = values.mean((0, 1))
    of_measurements = values.mean(1).var(0, ddof=1) / num
    if seeds == 1:
        return Estimate(mean, np.sqrt(of_measurements), np.full_like(mean, num - 1))
    rest = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + mean
    noise = (rest**2).sum((0, 1)) / ((num - 1) * (seeds - 1) * num * seeds)
    of_seeds = np.maximum(values.mean(0).var(0, ddof=1) / seeds - noise, 0)
    total = of_measurements + of_seeds
    spread = of_measurements**2 / (num - 1) + of_seeds**2 / (seeds - 1)
    dof = np.divide(total**2, spread, out=np.full_like(mean, num - 1), where=spread > 0)
    return Estimate(mean, np.sqrt(total), dof)


def mean_interval(
    values: np.ndarray, level: float = 0.95, num_resamples: int = 4000
) -> tuple[np.ndarray, ...]:
    """Return the mean of each column of `values` (n, k) or (n, s, k) and the ends of its interval, each (k,).

    Bootstrap-t over measurements (Efron and Tibshirani 1993, chapter 12): 16 measurements are too few for percentiles
    of resampled means, whose nominal 95 % cover 90 % to 92 %. On each side the interval is at least as wide as
    Student's, so that columns with many ties do not get one that is too narrow; below 8 rows resamples repeat too
    often, and Student's is used. Several seeds widen the interval as they widen Student's. The resamples are fixed, so
    equal values give equal intervals. One row has no interval: both ends are NaN.
    """
    values = values[:, None] if values.ndim == 2 else values
    num, means = len(values), values.mean(1)
    mean = means.mean(0)
    if num == 1:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = estimate(values).half_width(level)
    if num < 8:
        return mean, mean - half, mean + half
    below, above = _bootstrap_t(means, level, num_resamples)
    student = stdtrit(num - 1, 0.5 + level / 2)
    return (
        mean,
        mean - half * np.maximum(above / student, 1),
        mean + half * np.maximum(-below / student, 1),
    )


def _bootstrap_t(means: np.ndarray, level: float, num_resamples: int) -> np.ndarray:
    """Return lower and upper quantile of the studentised mean of resampled rows of `means` (n, k)."""
    # ours: scipy.stats.bootstrap has percentile, basic and BCa intervals, none of them studentised
    blocks = range(0, means.shape[1], _BLOCK)  # bounds the memory
    parts = [_quantiles(means[:, i : i + _BLOCK], level, num_resamples) for i in blocks]
    return np.concatenate([np.empty((2, 0)), *parts], 1)


def _quantiles(means: np.ndarray, level: float, num_resamples: int) -> np.ndarray:
    """Return the quantiles of a few columns."""
    num = len(means)
    centred = means - means.mean(0)
    error = centred.std(0, ddof=1) / math.sqrt(num)
    weights = _resamples(num, num_resamples)
    shift = weights @ centred
    spread = np.sqrt(np.maximum(weights @ centred**2 - shift**2, 0) / (num - 1))
    ratio = np.divide(shift, spread, out=np.zeros_like(shift), where=spread > 1e-6 * error)
    return np.quantile(ratio, [0.5 - level / 2, 0.5 + level / 2], axis=0)


@functools.cache
def _resamples(num: int, num_resamples: int) -> np.ndarray:
    """Return how often each of `num` rows is in each resample, over their number."""
    return (
        np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=num_resamples) / num
    )


def paired_p(differences: np.ndarray) -> np.ndarray:
    """Return the two-sided p-value (k,) of each column of paired differences `(n, s, k)` having mean 0.

    The test flips the signs of measurements (Fisher 1935). It is exact where differences are symmetric, as they are
    when two methods could be exchanged, however heavy the tails. Elsewhere it is as good as Student's t, which orders
    patterns the same way: at n = 16 and a skewness of 2, a nominal 5 % is 8 %. Where differences vary with the seed, p
    is the larger of this one and Student's over both factors, since flips ignore the effect of seeds.
    """
    means = differences.mean(1)
    # ours: scipy.stats.permutation_test gives the same p (a test compares them) and takes seconds a column at n = 16
    flipped = (_exact_shares if len(means) <= _MOST_EXACT else _shares_of_random)(means)
    return _over_seeds(flipped, differences)


def pairs_p(losses: np.ndarray, pairs: Sequence[tuple[int, int]], sign: int) -> np.ndarray:
    """Return `paired_p` of the differences of pairs of columns of `losses` (n, s, k); sign +1: of their sums.

    Where patterns of signs are random, their sums are made once for each column, and not for each pair.
    """
    left, right = (np.array([pair[side] for pair in pairs], int) for side in (0, 1))
    differences = losses[..., left] + sign * losses[..., right]
    if len(losses) <= _MOST_EXACT:
        return paired_p(differences)
    means, sizes = differences.mean(1), np.abs(losses).mean(1).sum(0)
    sums, far = losses.mean(1).T @ _random_signs(len(losses)).T, _distances(means)
    flipped = np.empty(len(pairs))
    # the sums of two columns that nearly agree would be wrong by more than `_distances` allows for
    agree = np.abs(means).sum(0) < _NEARLY_EQUAL * (sizes[left] + sizes[right])
    flipped[agree] = _shares_of_random(means[:, agree])
    combine, of_pair = (np.add if sign > 0 else np.subtract), np.empty(sums.shape[1])
    for j in np.flatnonzero(~agree):
        combine(sums[left[j]], sums[right[j]], out=of_pair)
        flipped[j] = _share_beyond(of_pair, far[j])
    return _over_seeds(flipped, differences)


def _over_seeds(flipped: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Return the larger of the p-values of sign flips and Student's, where differences vary with the seed."""
    if differences.shape[1] == 1 or len(differences) == 1:
        return flipped
    mean = estimate(differences)
    ratio = np.divide(
        np.abs(mean.mean), mean.error, out=np.zeros_like(mean.mean), where=mean.error > 0
    )
    varies = np.ptp(differences, axis=1).any(0)
    return np.where(varies, np.maximum(flipped, 2 * stdtr(mean.dof, -ratio)), flipped)


def smallest_p(num_measurements: int) -> float:
    """Return the least p-value that sign flips can give."""
    return 2.0 ** (1 - num_measurements) if num_measurements <= _MOST_EXACT else 1 / _NUM_PATTERNS


def _exact_shares(values: np.ndarray) -> np.ndarray:
    """Return, for each column of `values` (n, k), the share of all sign patterns whose sum is as far from 0.

    A pattern joins one of the first half of the values with one of the second: for each sum of the first half, the sums
    of the second that take it far enough are found by bisection. Only sums above 0 are counted and then doubled, since
    the negative of each pattern is a pattern, too.
    """
    half = len(values) // 2
    lefts = np.sort(_all_signs(half) @ values[:half], axis=0)[::-1]  # sorted: bisections are faster
    rights = np.sort(_all_signs(len(values) - half) @ values[half:], axis=0)
    shares = []
    for left, right, far in zip(lefts.T, rights.T, _distances(values), strict=True):
        num = len(left) * len(right)
        above = num - right.searchsorted(far - left, "left").sum()
        shares.append(min(2.0 * above / num, 1.0))
    return np.array(shares)


def _shares_of_random(values: np.ndarray) -> np.ndarray:
    """Return the same shares among random patterns, the same ones for all columns."""
    signs, far, shares = _random_signs(len(values)).T, _distances(values), []
    # a hundred rows have 4950 pairs: a few of them at a time bound the memory
    for start in range(0, len(far), _BLOCK):
        block = slice(start, start + _BLOCK)
        shares += map(_share_beyond, values.T[block] @ signs, far[block])
    return np.array(shares)


def _share_beyond(sums: np.ndarray, far: float) -> float:
    return np.count_nonzero(np.abs(sums, out=sums) >= far) / len(sums)


def _distances(values: np.ndarray) -> np.ndarray:
    # sums that are equal differ by rounding
    return np.abs(values.sum(0)) - 1e-9 * np.abs(values).sum(0)


@functools.cache
def _random_signs(num: int) -> np.ndarray:
    signs = np.random.default_rng(0).integers(0, 2, size=(_NUM_PATTERNS, num)) * 2.0 - 1.0
    signs[0] = 1  # the observed pattern counts, or the level would not hold
    return signs


@functools.cache
def _all_signs(num: int) -> np.ndarray:
    return 1.0 - 2.0 * (np.arange(2**num)[:, None] >> np.arange(num) & 1)


def holm(p: np.ndarray) -> np.ndarray:
    """Return the adjusted p-values of one family (Holm 1979)."""
    # ours: statsmodels' multipletests gives the same numbers (a test compares them) in 2000 times the time, and a
    # suite has a thousand families
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(adjusted)
    out[order] = np.minimum(adjusted, 1)
    return out


def resolvable(differences: np.ndarray, alpha: float = ALPHA, power: float = POWER) -> np.ndarray:
    """Return the true mean (k,) that a test of level alpha tells from 0 with probability `power`, given the spread.

    It is that of Student's t for normal differences, whose power sign flips reach to within 0.03, and larger where few
    patterns of signs lie below alpha. It is infinite where no p-value can be as small as alpha.
    """
    if smallest_p(len(differences)) > alpha:
        return np.full(differences.shape[2], np.inf)
    mean = estimate(differences)
    return (
        _student_shift(mean.dof, alpha, power)
        * mean.error
        * _coarseness(len(differences), alpha, power)
    )


def _student_shift(dof: np.ndarray | float, alpha: float, power: float) -> np.ndarray:
    """Return the true mean that Student's t tells from 0 with probability `power`, in standard errors."""
    return stdtrit(dof, 1 - alpha / 2) + stdtrit(dof, power)


@functools.cache
def _coarseness(num: int, alpha: float, power: float) -> float:
    """Return the factor by which the mean has to be larger than for Student's t, by tests of fixed normal draws."""
    if num > _MOST_EXACT or alpha >= _ENOUGH_PATTERNS * smallest_p(num):
        return 1.0
    noise = np.random.default_rng(0).normal(size=(num, 1, 1000))
    student = _student_shift(num - 1, alpha, power) / math.sqrt(num)

    def excess(factor: float) -> float:
        return float(np.mean(paired_p(noise + factor * student) <= alpha)) - power

    return root_scalar(excess, method="bisect", bracket=(0.5, 5), xtol=0.01).root


def critical_difference(
    num_methods: int, num_tasks: int, alpha: float = ALPHA, num_draws: int = 20_000
) -> float:
    """Return the difference of mean ranks over tasks that any pair exceeds with probability alpha at most.

    This is Nemenyi's test, but with the law of the largest difference from fixed draws of random rankings, and not from
    its limit for many tasks, which for two methods on eight tasks errs in 7 % of cases at a nominal 5 %.
    """
    rng = np.random.default_rng(0)
    sums = np.zeros((num_draws, num_methods))
    ranks = np.tile(np.arange(num_methods), (num_draws, 1))
    for _ in range(num_tasks):
        sums += rng.permuted(ranks, axis=1)
    return float(np.quantile(np.ptp(sums, axis=1), 1 - alpha, method="higher")) / num_tasks
