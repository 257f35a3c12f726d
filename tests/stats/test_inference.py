"""Tests over measurements have their level and their power, at the 16 measurements that suites have."""

import math

import numpy as np
import pytest
from scipy.stats import permutation_test, studentized_range
from statsmodels.stats.multitest import multipletests

from bench.stats.inference import (
    critical_difference,
    estimate,
    holm,
    paired_p,
    pairs_p,
    resolvable,
    smallest_p,
)

SYMMETRIC = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Cauchy": lambda rng, shape: rng.standard_cauchy(size=shape),
    "mostly zero": lambda rng, shape: rng.normal(size=shape) * rng.binomial(1, 0.4, size=shape),
    "one outlier in ten": lambda rng, shape: (
        rng.normal(size=shape) * np.where(rng.random(shape) < 0.1, 100, 1)
    ),
}


def test_p_values_are_those_of_scipy():
    # all 2^9 patterns on either side: equal but for rounding
    differences = np.random.default_rng(0).gamma(1, size=(9, 1, 4)) - 0.6
    differences[:, :, 3] = np.array([2, -1, 0, 0, 1, 1, -1, 3, 0])[:, None]  # many equal sums
    actual = [
        permutation_test((column,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        for column in differences[:, 0].T
    ]
    assert paired_p(differences) == pytest.approx(actual, abs=1e-12)


@pytest.mark.parametrize("draw", SYMMETRIC.values(), ids=SYMMETRIC.keys())
def test_the_level_is_right_for_symmetric_differences_of_any_tail(draw):
    # exact: at most alpha. 4000 repetitions have a standard error of 0.0034 at 0.05: four of them above, and, where
    # zeros do not make the test discrete, below
    p = paired_p(draw(np.random.default_rng(1), (16, 1, 4000)))
    share = np.mean(p <= 0.05)
    print(f"share of p at most 0.05: {share:.4f}")
    assert share < 0.064 and np.mean(p <= 0.01) < 0.0165
    assert share > 0.036 or np.mean(p == 1) > 0.001


def test_the_level_is_nearly_right_for_skewed_differences():
    # exponential, as skewed as differences get (skewness 2): the statistic is Student's, whose error at n = 16 is known
    # to be a few per cent there; a guard against worse
    p = paired_p(np.random.default_rng(2).exponential(size=(16, 1, 4000)) - 1)
    print(f"share of p at most 0.05, skewness 2: {np.mean(p <= 0.05):.4f}")
    assert np.mean(p <= 0.05) < 0.10


def test_random_patterns_replace_all_patterns_beyond_24_measurements():
    # 16384 patterns: standard error of p = 0.05 is 0.0017; of 300 columns' rejections 0.013, three of them
    p = paired_p(np.random.default_rng(3).standard_cauchy(size=(32, 1, 300)))
    assert abs(np.mean(p <= 0.05) - 0.05) < 0.04
    one_sided = np.abs(np.random.default_rng(3).normal(size=(64, 1, 2)))
    assert paired_p(one_sided).max() == smallest_p(64) == 2.0**-14
    assert smallest_p(4) == 0.125 and smallest_p(16) == 2.0**-15


def test_copies_of_untrained_rows_are_compared_as_in_a_suite_without_seeds():
    # one wild measurement of 16: Student's test does not see that all of them have the same sign
    wild = np.array([0.3] * 15 + [10.0])[:, None, None]
    assert paired_p(wild.repeat(3, axis=1)) == paired_p(wild) == smallest_p(16)


@pytest.mark.parametrize(("num_seeds", "effect"), [(2, 0.0), (3, 0.0), (3, 0.25), (5, 0.25)])
def test_the_level_is_right_with_seeds_that_matter(num_seeds, effect):
    # measurements have error 1 / 4; seeds of effect 0.25 add half as much to three quarters as much: flips alone would
    # reject 8 % to 9 %. 3000 repetitions, standard error 0.004, five of them
    rng = np.random.default_rng(4)
    values = rng.normal(size=(16, 1, 3000)) + effect * rng.normal(size=(1, num_seeds, 3000))
    values = values + 0.5 * rng.normal(size=(16, num_seeds, 3000))
    share, flips = (np.mean(paired_p(v) <= 0.05) for v in (values, values.mean(1, keepdims=True)))
    print(f"{num_seeds} seeds of effect {effect}: {share:.4f}, by flips alone {flips:.4f}")
    assert share < 0.07
    assert flips > 0.07 if effect else share > 0.02


def test_error_of_crossed_factors_is_unbiased():
    # variance 1/16 + 0.25/4 + 0.25/64 with 4 seeds; truncation of negative parts raises it little where seeds matter;
    # 20000 columns of relative standard deviation < 1: 0.007, five of them
    rng = np.random.default_rng(5)
    values = rng.normal(size=(16, 1, 20000)) + 0.5 * rng.normal(size=(1, 4, 20000))
    actual = estimate(values + 0.5 * rng.normal(size=(16, 4, 20000)))
    truth = 1 / 16 + 0.25 / 4 + 0.25 / 64
    assert np.mean(actual.error**2) == pytest.approx(truth, rel=0.035)
    # sqrt(2 / 20000) = 0.01, five of them
    assert np.var(actual.mean) == pytest.approx(truth, rel=0.05)


def test_holm_of_a_worked_example():
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, then 0.04 raised to the one before it
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_that_of_statsmodels():
    for p in np.random.default_rng(0).random((20, 45)) ** 3:
        np.testing.assert_array_equal(holm(p), multipletests(p, method="holm")[1])


CASES = [
    (6, 0.05),
    (8, 0.05),
    (16, 0.05),
    (24, 0.05),
    (8, 0.05 / 3),
    (10, 0.05 / 15),
    (16, 0.05 / 6),
    (16, 0.05 / 45),
]


@pytest.mark.parametrize(("num", "alpha"), CASES)
def test_power_is_as_documented(num, alpha):
    # 3000 repetitions, standard error 0.0073, three of them, and the error of Student's power, 0.03
    delta = (
        resolvable(np.random.default_rng(6).normal(size=(num, 1, 20000)), alpha) ** 2
    ).mean() ** 0.5
    p = paired_p(np.random.default_rng(7).normal(size=(num, 1, 3000)) + delta)
    print(
        f"n = {num}, alpha = {alpha:.4f}, {delta:.3f} standard deviations: power {np.mean(p <= alpha):.3f}"
    )
    assert np.mean(p <= alpha) == pytest.approx(0.8, abs=0.05)


def test_nothing_is_resolved_where_no_p_value_is_small_enough():
    assert np.isinf(resolvable(np.random.default_rng(0).normal(size=(5, 1, 2)))).all()


def test_critical_difference_of_two_methods_is_the_sign_test():
    # 8 tasks: seven wins to one, or more, has probability 18 / 256 = 0.07, so only eight to nothing, 1.0, exceeds it
    assert critical_difference(2, 8) == pytest.approx(0.75)
    assert critical_difference(2, 4) == 1.0  # all alike has probability 1 / 8: nothing exceeds it


def test_critical_difference_of_many_tasks_is_nemenyis():
    # quantile of 20000 draws: density about 1 / scale there, so an error near 1 % of it; steps of 1 / 200 are 1.5 %
    nemenyi = studentized_range.ppf(0.95, 5, np.inf) / math.sqrt(2) * math.sqrt(5 * 6 / (6 * 200))
    assert critical_difference(5, 200) == pytest.approx(nemenyi, rel=0.04)


@pytest.mark.parametrize("num", [16, 32])
@pytest.mark.parametrize("kind", ["normal", "tenths", "equal", "far from 0", "diverged"])
def test_all_pairs_at_once_have_the_p_values_of_each_pair(num, kind):
    """Also where values are multiples of a tenth, so that many patterns of signs have equal sums."""
    losses = np.random.default_rng(3).normal(size=(num, 2, 6))
    losses[..., 1] = losses[:, :1, 1]  # does not vary with the seed
    if kind == "tenths":
        losses = np.round(3 * losses) / 10
    elif kind == "equal":
        losses[..., 2] = losses[..., 0] + 1e-9 * losses[..., 1]
    elif kind == "far from 0":
        losses = 20 + 1e-3 * losses
    elif kind == "diverged":
        losses[3] *= 1e30
    pairs = [(i, j) for j in range(6) for i in range(j)]
    for sign in (-1, 1):
        one_by_one = [paired_p(losses[..., [i]] + sign * losses[..., [j]])[0] for i, j in pairs]
        assert pairs_p(losses, pairs, sign).tolist() == one_by_one
