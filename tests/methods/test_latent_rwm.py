"""Latent random walk: the distribution that its proposals leave invariant, and samples against a closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from helpers.latent_truth import (
    assert_finite_at_the_stated_cost,
    assert_moments,
    draw,
    measurements,
)
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.types import Cap
from bench.numerics import mcmc
from methods.latent_rwm import LatentRWM

PROPOSALS = ("crank-nicolson", "gaussian")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def log_normal(z: Tensor) -> Tensor:
    return -z.square().sum(1) / 2


@pytest.mark.parametrize("scale", [0.1, 0.7, 1.0])
def test_crank_nicolson_is_reversible_against_the_prior(scale):
    """N(z; 0, I) q(z' | z) is the same both ways, with q written down from its definition."""
    z, scale = normal(8, 3), torch.full((8, 1), scale, dtype=torch.float64)
    proposal = mcmc.crank_nicolson(z, scale, normal(8, 3, seed=1))

    def flow(before: Tensor, after: Tensor) -> Tensor:
        return log_normal(before) + log_normal((after - (1 - scale**2).sqrt() * before) / scale)

    torch.testing.assert_close(flow(z, proposal), flow(proposal, z), rtol=1e-12, atol=1e-12)


def test_a_gaussian_step_owes_the_ratio_of_the_prior():
    z, noise, scale = (
        normal(8, 3),
        normal(8, 3, seed=1),
        torch.full((8, 1), 0.4, dtype=torch.float64),
    )
    proposal, log_prior_ratio = LatentRWM(proposal="gaussian").propose(z, scale, noise)
    torch.testing.assert_close(proposal, z + 0.4 * noise)
    torch.testing.assert_close(log_prior_ratio, log_normal(proposal) - log_normal(z))
    assert LatentRWM().propose(z, scale, noise)[1].tolist() == [0.0] * 8


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_chains_have_the_posterior_moments(proposal):
    prior, num_chains = ToyPrior(), 64
    problem = ToyProblem(prior, sigma_y=0.4)
    y = measurements(prior, problem, 2)
    y[1] = 0  # nothing measured: the posterior is the prior
    method = LatentRWM(num_chains=num_chains, proposal=proposal, thin=20)
    x = draw(method, prior, problem, y, 100 * num_chains).flatten(2)
    for samples, mean, covariance in zip(x, *problem.posterior(y), strict=True):
        assert_moments(samples, num_chains, mean, covariance, power=0.06)


@dataclass(frozen=True)
class BlackBox(ToyProblem):
    """A simulator without derivatives, which says so when it is asked for one."""

    caps: ClassVar[Cap] = Cap.SIMULATE

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("this problem has no gradient")
        return super().log_likelihood(x, y)

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        return super().residual(x.detach(), y)


def test_a_problem_without_gradients_will_do():
    prior = ToyPrior()
    y = measurements(prior, ToyProblem(prior), 2)
    with torch.enable_grad():
        x = draw(LatentRWM(), prior, BlackBox(prior), y, 16)
    assert (
        torch.equal(x, draw(LatentRWM(), prior, ToyProblem(prior), y, 16)) and not x.requires_grad
    )


def test_the_scale_adapts_to_the_acceptance_that_was_asked_for():
    """On a flat likelihood Crank-Nicolson accepts everything: the scale goes to its end, independent draws."""
    prior, num_chains = ToyPrior(), 256
    y = torch.zeros(1, 2, 2, 4, dtype=torch.float64)  # nothing measured
    x = draw(LatentRWM(num_chains=num_chains, thin=1), prior, ToyProblem(prior), y, 2 * num_chains)[
        0
    ].flatten(1)
    first, second = x[:num_chains] - prior.mean, x[num_chains:] - prior.mean
    correlation = (first * second).mean(0) / prior.covariance.diag()
    assert correlation.abs().max() < 5 / num_chains**0.5


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"proposal": "gaussian", "num_chains": 3, "num_warmup": 2, "num_adapt": 3, "thin": 4},
        {"num_chains": 50, "num_warmup": 0, "num_adapt": 0, "thin": 1},
    ],
    ids=str,
)
def test_samples_are_finite_and_the_cost_is_as_stated(settings):
    assert assert_finite_at_the_stated_cost(LatentRWM(**settings)).backward == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": 0.0}, "scale = 0.0"),
        ({"num_adapt": -1}, "num_adapt = -1"),
        ({"anneal": 0.5}, "anneal = 0.5: expected a number >= 1"),
        ({"proposal": "uniform"}, "'crank-nicolson' or 'gaussian'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        LatentRWM(**settings)
