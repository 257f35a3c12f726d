"""Intervals of effects: they cover the truth, and a ratio's agrees with the paired comparison at every margin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.papers.claims.intervals import (
    Interval,
    combined,
    exact,
    mean_of,
    ratio_of_means,
    ratio_over_visits,
    shared,
)

RNG = np.random.default_rng(0)
ONE, OTHER = 1.2 + 0.5 * RNG.normal(size=(2, 12, 1))


def test_a_ratio_lies_below_a_margin_if_the_paired_comparison_does():
    ratio = ratio_of_means(ONE, OTHER)
    assert ratio.low < ratio.value < ratio.high and ratio.value == pytest.approx(
        ONE.mean() / OTHER.mean()
    )
    for margin in np.linspace(0.3, 3, 30):
        difference = mean_of(ONE - margin * OTHER)
        assert (ratio.high < margin) == (difference.high < 0) and (ratio.low > margin) == (
            difference.low > 0
        )


def test_a_ratio_to_a_mean_near_zero_has_no_upper_end():
    noise = RNG.normal(size=(12, 1))
    ratio = ratio_of_means(ONE, noise - noise.mean() + 0.05)
    assert math.isinf(ratio.high) and ratio.low > 0
    assert not ratio_of_means(ONE, -ONE).is_known


def test_single_values_may_be_negative():
    ratio = ratio_of_means(noise := 0.1 * RNG.normal(size=(12, 1)), OTHER)
    assert noise.min() < 0 and ratio.low == 0 and 0 <= ratio.value < ratio.high < 0.3


@pytest.mark.parametrize("seeds", [1, 3])
def test_95_percent_of_intervals_of_a_ratio_hold_the_truth(seeds):
    """200 trials of 7 measurements hold it in 180 or more but once in six hundred suites."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        common = rng.gamma(2, size=(7, 1))
        one = 1.5 * common + 0.3 * rng.normal(size=(7, seeds)) + 0.1 * rng.normal(size=(1, seeds))
        ratio = ratio_of_means(one, common + 0.3 * rng.normal(size=(7, seeds)))
        held += ratio.low <= 1.5 <= ratio.high
    assert held >= 180


def test_one_measurement_and_one_visit_have_no_interval():
    assert not ratio_of_means(ONE[:1], OTHER[:1]).is_known
    assert not ratio_over_visits(np.array([2.0]), 1.0).is_known
    assert not exact(3.0).is_known


def test_times_are_paired_by_visit():
    slow = np.array([1.0, 1.5, 0.7, 1.2])
    ratio = ratio_over_visits(3 * slow * np.array([1.01, 0.99, 1.0, 1.0]), slow)
    assert 2.9 < ratio.low < 3 < ratio.high < 3.1


def test_a_function_of_several_estimates_takes_its_ends_at_theirs():
    quotient = combined(lambda a, b: a / b, Interval(2, 1, 4), Interval(1, 0.5, 2))
    assert (quotient.value, quotient.low, quotient.high) == (2, 0.5, 8)
    assert shared(2) == pytest.approx(0.975)
