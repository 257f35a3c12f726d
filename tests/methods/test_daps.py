"""DAPS where it is exact, and the three errors of the released settings one by one."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, isotropic, law_of, metered, relative_errors

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.problems import make_problem
from methods.daps import DAPS, RELEASED_BETA

TAU = 0.5
EXACT = DAPS(num_levels=4, num_ode_steps=1, prior_std=TAU, sigma_max=1e4)


@pytest.mark.parametrize("operator", ["inpaint-box", "blur", "motion-blur"])
@pytest.mark.parametrize("num_levels", [1, 2, 5])
def test_samples_follow_the_posterior_whatever_the_number_of_levels(operator, num_levels):
    bed = GaussianBed(isotropic(TAU), operator)
    law = law_of(dataclasses.replace(EXACT, num_levels=num_levels), bed)
    # the start lacks the image, which is (tau / sigma_max)^2 = 3e-9 of its variance and tau / sigma_max of its mean
    assert max(relative_errors(law, bed.posterior())) < 1e-4


def test_euler_steps_of_the_ode_are_an_error_of_their_own():
    bed = GaussianBed(isotropic(TAU), "inpaint-box")
    biased = dataclasses.replace(EXACT, num_levels=20, num_ode_steps=5)
    assert max(relative_errors(law_of(biased, bed), bed.posterior())) > 0.1


@pytest.mark.parametrize("beta", ["sigma_y", "released"])
def test_langevin_steps_have_the_stationary_law_of_their_size(beta):
    bed = GaussianBed(isotropic(TAU), "average-pool", sigma_y=0.25)
    assumed = RELEASED_BETA if beta == "released" else 0.25
    # the largest precision is 1 / tau^2 + 1 / (4 beta^2), the smallest 1 / tau^2: steps of a tenth of what is stable
    largest = 1 / TAU**2 + 0.25 / assumed**2
    step, num_langevin = 0.2 / largest, 60
    method = dataclasses.replace(
        EXACT, num_levels=1, inner="langevin", step=step, num_langevin=num_langevin, beta=beta
    )
    _, covariance = law_of(method, bed)
    gram = bed.matrices.mT @ bed.matrices
    precision = torch.eye(16, dtype=torch.float64) / TAU**2 + gram / assumed**2
    stationary = torch.linalg.inv(precision - step * precision @ precision / 2)
    seen = gram @ torch.linalg.pinv(gram)
    # where A sees the image the chain forgets 0.8 of the start at each step, 2e-6 after 60; x_0 is its start and mean,
    # up to what the likelihood adds, and spreads by tau^2 / sigma_max
    torch.testing.assert_close(
        seen @ covariance @ seen, seen @ stationary @ seen, rtol=1e-3, atol=1e-7
    )


def test_the_released_noise_level_makes_samples_too_certain():
    bed = GaussianBed(isotropic(TAU), "inpaint-box", sigma_y=0.05)
    law = law_of(dataclasses.replace(EXACT, beta="released"), bed)
    certain = dataclasses.replace(bed, sigma_y=RELEASED_BETA).posterior()[1]
    torch.testing.assert_close(law[1], certain, rtol=1e-4, atol=1e-8)
    seen = bed.y[0].chunk(2)[1].flatten() > 0
    spread = law[1][0].diagonal() / bed.posterior()[1][0].diagonal()
    # seven times too narrow where y sees the image
    assert (spread[seen].sqrt() < 0.15).all() and (spread[~seen] > 0.99).all()


def test_langevin_steps_take_any_likelihood():
    prior = isotropic(TAU)
    problem = make_problem("saturate", {"gain": 2.0}, 0.1, prior.shape)
    method = DAPS(num_levels=20, inner="langevin", num_langevin=20, step=1e-3)
    assert Cap.LINEAR not in method.needs and Cap.LINEAR in DAPS().needs
    rng = Rng(("test", "saturate"), range(2), range(8))
    y = problem.simulate(prior.sample(1, rng)[:, 0], rng)
    x = method.sample(prior, problem, y, 8, rng=rng).flatten(0, 1)
    misfit = problem.residual(x, y.repeat_interleave(8, 0)).square().mean().sqrt()
    # noise of 0.1 alone would leave less than that; draws of the prior miss by more than 0.5
    assert misfit < 0.3


@pytest.mark.parametrize("settings", [{}, {"num_ode_steps": 3}, {"inner": "langevin"}])
def test_rows_are_counted_and_none_goes_back(settings):
    method = DAPS(num_levels=4, num_langevin=2, **settings)
    bed = GaussianBed(isotropic(TAU), "blur")
    assert metered(method, bed, 3) == method.nfe(bed.prior, 3)[:2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_levels": 0}, "num_levels = 0"),
        ({"step": 0.0}, "step = 0.0"),
        ({"sigma_max": 0.01}, "sigma_max = 0.01"),
        ({"prior_std": -1.0}, "prior_std = -1.0"),
        ({"inner": "hmc"}, "inner = 'hmc'"),
        ({"beta": "0.01"}, "beta = '0.01'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        DAPS(**settings)
