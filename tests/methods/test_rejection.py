"""Rejection sampling: the posterior over a finite set, the draws used where none is accepted, and log Z."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated
from helpers.latent_truth import assert_finite_at_the_stated_cost, draw
from scipy.stats import chisquare

from bench.core.rng import Rng
from bench.problems import make_problem
from methods.rejection import Rejection
from methods.unconditional import Unconditional

LEVEL, SIGMA_Y = 1.5, 2.0


class SixImages:
    """Uniform on six images of one pixel, 0 to 5."""

    shape, sample_nfe = (1, 1, 1), 1

    def sample(self, num_samples, rng):
        return rng.randint(6, (num_samples, 1, 1, 1)).double()


def of_six(method, num_samples=3000):
    """Return which of the six images were drawn, and exp(log_likelihood) of each."""
    problem = make_problem("denoise", {}, SIGMA_Y, (1, 1, 1))
    y = torch.full((1, 1, 1, 1), LEVEL, dtype=torch.float64)
    x = draw(method, SixImages(), problem, y, num_samples).flatten().long()
    likelihood = (-(torch.arange(6).double() - LEVEL).square() / (2 * SIGMA_Y**2)).exp()
    return torch.bincount(x, minlength=6).numpy(), likelihood


def test_samples_follow_the_posterior():
    # of 32 draws none is kept once in 1e8: their mean likelihood is 0.6
    found, likelihood = of_six(Rejection(num_draws=32))
    expected = 3000 * likelihood / likelihood.sum()
    # a right sampler falls below once in a thousand seeds
    assert chisquare(found, expected.numpy()).pvalue > 1e-3


def test_where_no_draw_is_kept_one_is_taken_by_its_weight():
    found, likelihood = of_six(Rejection(num_draws=2, bound=50.0))
    expected = 3000 * (likelihood[:, None] / (likelihood[:, None] + likelihood)).mean(1) / 3
    assert chisquare(found, expected.numpy()).pvalue > 1e-3


def test_one_draw_is_a_draw_of_the_prior():
    bed = GaussianBed(correlated())
    arguments = bed.prior, bed.problem, bed.y, 3
    assert torch.equal(draw(Rejection(num_draws=1), *arguments), draw(Unconditional(), *arguments))


def test_log_z_is_the_log_evidence_and_elbo_the_mean_log_likelihood():
    bed = GaussianBed(correlated(), sigma_y=1.0)
    method, rng = Rejection(num_draws=40), Rng(("test", "rejection"), range(bed.m))
    said = method.diagnose(bed.prior, bed.problem, bed.y, 200, rng=rng)
    # the weights of n = 8000 draws have a squared coefficient of variation of 1 / path_ess - 1
    error = ((1 / said["path_ess"] - 1) / 8000).sqrt()
    assert (error < 0.05).all()
    assert ((said["log_z"] - bed.log_evidence()).abs() < 5 * error).all()
    dim_spread = torch.einsum("mpd,de,mpe->m", bed.matrices, bed.prior.covariance, bed.matrices)
    expected = -(bed.residual.square().sum(1) + dim_spread) / 2
    # standard deviation of a log likelihood below 10, so of a mean of 8000 below 0.12
    assert ((said["elbo"] - expected).abs() < 0.5).all()
    assert (said["elbo"] <= said["log_z"]).all()


def test_its_cost_is_as_stated():
    assert_finite_at_the_stated_cost(Rejection(num_draws=3))


def test_a_wrong_field_is_named():
    with pytest.raises(ValueError, match="^num_draws = 0"):
        Rejection(num_draws=0)
