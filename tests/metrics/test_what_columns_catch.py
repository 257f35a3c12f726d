"""Which column detects which fault of a sampler, and the values of a perfect one."""

import dataclasses
from functools import cache, partial

import pytest
import torch
from helpers.metric_values import COLUMNS, compute, truth_of
from helpers.random_values import DOUBLE, errors_off, normal

from bench.core.rng import Rng
from bench.figures._levels import sampling_band
from bench.metrics._ranks import (
    LEVELS,
)
from bench.metrics.diversity_score import NEIGHBOURS
from bench.numerics.gradients import gradient
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import Conjugate

M, S, SHAPE = 96, 32, (1, 4, 4)
GOALS = {metric.id: metric.better for metric in COLUMNS}


@cache
def computed() -> dict[str, dict[str, torch.Tensor]]:
    """Four samplers on an exact tier: three Gaussians over 4 x 4 pixels seen through 2 x 2 averages."""

    def streams(name: str, num_samples: int) -> Rng:
        return Rng(("test", "checks", name), range(M), range(num_samples))

    rng = Rng(("test", "checks"), range(M))
    roots = 0.4 * normal(3, 16, 16, seed=1) / 4
    covariances = roots @ roots.mT + 0.01 * torch.eye(16, dtype=DOUBLE)
    prior = GMM(
        torch.tensor([0.5, 0.3, 0.2], dtype=DOUBLE), 0.5 * normal(3, *SHAPE, seed=2), covariances
    )
    problem = make_problem("average-pool", {"factor": 2}, 0.1, SHAPE)
    x_true = prior.sample(1, rng)[:, 0]
    y = problem.measure(x_true, 0.1 * rng.randn((1, 2, 2)))
    posterior = Conjugate(prior, problem)
    mean, std = posterior.moments(y)
    truth = truth_of(
        problem, x_true, y, posterior.sample(y, 256, streams("reference", 256)), mean, std, S
    )
    score = partial(gradient, lambda x, y: prior.log_prob(x) + problem.log_likelihood(x, y))
    truth = dataclasses.replace(truth, score=score)
    oracle = posterior.sample(y, S, streams("oracle", S))
    center = mean[:, None]
    samplers = {
        "perfect": oracle,
        "collapsed": center.expand_as(oracle),
        "wide": center + 1.3 * (oracle - center),
        "biased": oracle + std[:, None],
    }
    actual = {}
    for name, x in samplers.items():
        actual[name] = compute(x, truth)
    return actual


# + and - say on which side of the goal (of the perfect sampler, where the goal is low) a sampler is
CATCHES = {
    "sw2-128": {"collapsed": "+", "wide": "+", "biased": "+"},
    "energy": {"collapsed": "+", "wide": "+", "biased": "+"},
    "c2st-energy": {"collapsed": "+", "wide": "+", "biased": "+"},
    "coverage_exact@0.9": {"collapsed": "-", "wide": "+", "biased": "-"},
    "sbc_spread_exact": {"collapsed": "+", "wide": "-", "biased": "+"},
    "sbc-misfit_exact": {"collapsed": "-", "wide": "+", "biased": "+"},
    "tarp_exact": {"collapsed": "-", "wide": "+"},
    "ppc-chi2": {"collapsed": "+", "wide": "-", "biased": "-"},
    "ppc-max": {"collapsed": "+", "wide": "-", "biased": "-"},
    "mean_error": {"biased": "+"},
    "std_ratio": {"collapsed": "-", "wide": "+"},
    "diversity_ratio": {"collapsed": "-", "wide": "+"},
    "diversity_null_ratio": {"collapsed": "-", "wide": "+"},
    "diversity_range_ratio": {"collapsed": "-", "wide": "+"},
    "pairwise-pixels_ratio": {"collapsed": "-", "wide": "+"},
    "vendi_ratio": {"collapsed": "-", "wide": "+"},
    "stein_ratio": {"collapsed": "-", "wide": "+"},
    "ksd2-imq": {"collapsed": "+", "biased": "+"},
}
BLIND = {  # what a column does not see, which is why there are several
    "biased": (
        "std_ratio",
        "diversity_ratio",
        "pairwise-pixels_ratio",
        "vendi_ratio",
        "ds6-pixels_ratio",
    ),
    "wide": ("ds6-pixels_ratio",),
}


@pytest.mark.parametrize("column", CATCHES)
def test_which_column_catches_which_sampler(column):
    """Five standard errors of a mean over 96 measurements are beyond chance (6e-7)."""
    actual, goal = computed(), GOALS[column]
    goal = actual["perfect"][column] if goal == "lower" else goal
    for name, side in CATCHES[column].items():
        off = errors_off(actual[name][column] - goal, 0)
        assert off > 5 if side == "+" else off < -5, name


SPREAD_AND_RANKS = ("pairwise-pixels", "ds6", "vendi", "sbc", "tarp")


def test_a_perfect_sampler_hits_every_goal():
    perfect = computed()["perfect"]
    for column in {
        *CATCHES,
        "ds6-pixels_ratio",
        *(c.id for c in COLUMNS if c.id.startswith(SPREAD_AND_RANKS)),
    }:
        if isinstance(GOALS[column], float) and column != "std_ratio":  # a root is biased
            # 6e-5 for each of 17
            assert abs(errors_off(perfect[column], GOALS[column])) < 4, column
    assert abs(errors_off(perfect["energy"], 0)) < 4 and abs(errors_off(perfect["ksd2-imq"], 0)) < 4


def test_a_column_does_not_detect_every_fault():
    actual = computed()
    for name, columns in BLIND.items():
        for column in columns:
            assert abs(
                errors_off(actual[name][column] - actual["perfect"][column], 0)
            ) < 4 or torch.allclose(actual[name][column], actual["perfect"][column])
    assert (actual["collapsed"]["mean_error"] < 1e-6).all()  # the mean of the posterior itself
    assert actual["collapsed"][f"ds{NEIGHBOURS}-pixels"].isnan().all()
    gained = actual["collapsed"]["psnr_sample"] - actual["perfect"]["psnr_sample"]
    assert errors_off(gained, 0) > 5  # PSNR alone prefers the collapsed one


@pytest.mark.parametrize("statistic", ["tarp", "sbc-misfit"])
def test_ranks_of_x_true_leave_the_band_on_the_right_side(statistic):
    shares = {
        name: {level: values[f"{statistic}_x_true@{level}"].mean().item() for level in LEVELS}
        for name, values in computed().items()
    }
    bands = {level: sampling_band(level, M) for level in LEVELS}
    assert all(bands[level][0] <= shares["perfect"][level] <= bands[level][1] for level in LEVELS)
    for level in (0.5, 0.6, 0.7, 0.8):
        assert shares["wide"][level] > bands[level][1]
        assert shares["collapsed"][level] < bands[level][0]
