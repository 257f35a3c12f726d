"""Intervals of a mean: they cover what they should."""

import numpy as np
import pytest

from bench.stats.inference import mean_interval


@pytest.mark.parametrize(
    ("draw_values", "mean"),
    [
        (lambda rng, shape: rng.normal(size=shape), 0.0),
        (lambda rng, shape: rng.exponential(size=shape), 1.0),
        (lambda rng, shape: -rng.exponential(size=shape), -1.0),
        (lambda rng, shape: rng.lognormal(0, 0.5, size=shape), np.exp(0.125)),
        (lambda rng, shape: rng.binomial(64, 0.9, size=shape) / 64, 0.9),
    ],
    ids=["normal", "exponential", "negative exponential", "lognormal", "share of 64"],
)
def test_interval_covers_the_mean_of_16_values(draw_values, mean):
    # 4000 repetitions: the standard error of a share of 0.95 is 0.0034, so 0.93 to 0.97 leaves six of them either side
    values = draw_values(np.random.default_rng(1), (16, 4000))
    _, low, high = mean_interval(values, num_resamples=2000)
    assert 0.93 < np.mean((low <= mean) & (mean <= high)) < 0.97


def test_interval_of_few_values_is_students():
    # n = 4, standard deviation sqrt(5/3): 3.182 is the tabulated 97.5 % point at 3 degrees of freedom
    mean, low, high = (float(end[0]) for end in mean_interval(np.arange(4.0)[:, None]))
    half = 3.182446 * np.sqrt(5 / 3) / 2
    assert (low, mean, high) == pytest.approx((1.5 - half, 1.5, 1.5 + half), rel=1e-6)


def test_interval_is_repeatable_and_follows_shift_and_scale():
    values = np.random.default_rng(0).gamma(2, size=(16, 3))
    plain, moved = np.stack(mean_interval(values)), np.stack(mean_interval(5 + 10 * values))
    assert np.array_equal(plain, np.stack(mean_interval(values)))
    # rounding of float64, some 1e-16 times a hundred sums
    np.testing.assert_allclose(moved, 5 + 10 * plain, rtol=1e-9)


def test_interval_of_constant_values_is_a_point_and_of_one_value_absent():
    assert np.array_equal(np.stack(mean_interval(np.full((16, 1), 0.5))), np.full((3, 1), 0.5))
    mean, low, high = mean_interval(np.full((1, 1), 0.5))
    assert mean[0] == 0.5 and np.isnan([low[0], high[0]]).all()


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_interval_of_several_seeds_covers_what_other_seeds_would_give(effect):
    # three seeds that move all 16 measurements at once; resampling measurements alone covers 82 % with an effect of a
    # half. 4000 repetitions as above, and a percent for a variance from three seeds
    rng = np.random.default_rng(2)
    values = rng.normal(size=(16, 1, 4000)) + effect * rng.normal(size=(1, 3, 4000))
    values = values + 0.5 * rng.normal(size=(16, 3, 4000))
    shares = []
    for actual in (values, values.mean(1)):
        _, low, high = mean_interval(actual, num_resamples=2000)
        shares.append(np.mean((low <= 0) & (high >= 0)))
    print(f"seeds as a factor {shares[0]:.3f}, averaged only {shares[1]:.3f}")
    assert 0.93 < shares[0] < 0.98
    assert shares[1] < (0.87 if effect else 1)


def test_seeds_that_agree_change_nothing():
    values = np.random.default_rng(0).gamma(2, size=(16, 1, 3))
    np.testing.assert_allclose(
        np.stack(mean_interval(values.repeat(4, 1))), np.stack(mean_interval(values)), rtol=1e-9
    )
