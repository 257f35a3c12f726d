"""Latent Langevin: its drift against autograd, its samples against closed forms, its chains as described."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from helpers.latent_truth import (
    assert_finite_at_the_stated_cost,
    assert_moments,
    draw,
    measurements,
)
from torch import Tensor
from torch.distributions import Normal

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.numerics import latent, mcmc
from bench.priors.gmm import GMM
from bench.problems import make_problem
from methods.latent_langevin import LatentLangevin

AXES, SHAPE, D = ("test", "latent"), (1, 4, 4), 16
RELEASED = {
    "num_chains": 1,
    "anneal": 1.0,
    "metropolis": False,
    "prior_drift": "released",
    "num_adapt": 0,
}
# the chain itself from its start
NOTHING_BEFORE = {"num_adam": 0, "num_curvature": 0, "num_warmup": 0, "num_adapt": 0}
PRECISION = {"correct": 1.0, "released": 1 / 6400}


def mixture() -> GMM:
    """Two Gaussians on 4 x 4 images: a decoder that is not affine."""
    rng = Rng(("test", "mixture"), range(2))
    factor = rng.randn((D, D)) / D**0.5
    covariances = 0.05 * factor @ factor.mT + 0.01 * torch.eye(D, dtype=torch.float64)
    return GMM(
        torch.tensor([0.6, 0.4], dtype=torch.float64),
        0.5 * rng.randn(SHAPE),
        covariances,
        num_ode_steps=4,
    )


@pytest.mark.parametrize("prior_drift", ["correct", "released"])
@pytest.mark.parametrize("level", [1.0, 3.0])
def test_drift_is_the_gradient_of_the_log_target(prior_drift, level):
    prior, gain, sigma_y = mixture(), 2.0, 0.3
    problem = make_problem("saturate", {"gain": gain}, sigma_y, SHAPE)
    y, z = measurements(prior, problem, 5), Rng(AXES, range(5)).randn((D,))
    method = LatentLangevin(prior_drift=prior_drift)
    _, drift = method.log_target(lambda z: latent.log_likelihood(prior, problem, y, z), z, level)

    z.requires_grad_()
    clean = (gain * prior.decode(z.view(-1, *SHAPE))).clamp(-1, 1)
    log_likelihood = Normal(clean, level * sigma_y).log_prob(y).flatten(1).sum(1)
    log_prior = Normal(0.0, PRECISION[prior_drift] ** -0.5).log_prob(z).sum(1)
    (expected,) = torch.autograd.grad((log_prior + log_likelihood).sum(), z)
    # sums of 16 terms up to 1e2 in float64
    torch.testing.assert_close(drift, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("prior_drift", ["correct", "released"])
def test_the_released_algorithm_step_by_step(prior_drift):
    prior, sigma_y, num_adam, num_steps, tau = mixture(), 0.5, 3, 6, 0.01
    problem = make_problem("denoise", {}, sigma_y, SHAPE)
    y = measurements(prior, problem, 1)
    settings = (
        RELEASED
        | NOTHING_BEFORE
        | {"num_adam": num_adam, "step": tau, "thin": 1, "prior_drift": prior_drift}
    )
    samples = draw(LatentLangevin(**settings), prior, problem, y, num_steps)[0]

    rng = Rng(AXES, [0], range(num_steps))
    u = rng.randn((1, D))[0].requires_grad_()
    rng.randn((1, D))  # for the curvature, which is not asked for
    optimiser = torch.optim.Adam([u], lr=0.1)
    for _ in range(num_adam):
        optimiser.zero_grad()
        (y - prior.decode(u.view(1, *SHAPE))).square().sum().backward()
        optimiser.step()
    for x in samples:
        misfit = (y - prior.decode(u.view(1, *SHAPE))).square().sum() / (2 * sigma_y**2)
        (gradient,) = torch.autograd.grad(misfit, u)
        xi = rng.randn((1, D))[0]
        rng.rand((1,))  # for an acceptance, which is not asked for
        u = (
            (u - tau * PRECISION[prior_drift] * u - tau * gradient + (2 * tau) ** 0.5 * xi)
            .detach()
            .requires_grad_()
        )
        # Adam divides by |gradient| + 1e-8, so a loss on another scale moves it by 1e-8 over a gradient of about 1
        torch.testing.assert_close(
            x, prior.decode(u.view(1, *SHAPE))[0].detach(), rtol=0, atol=1e-6
        )


def latent_posterior(prior: ToyPrior, problem: ToyProblem, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and precision of z given one y under the affine decoder x = mu + C^(1/2) z."""
    values, vectors = torch.linalg.eigh(prior.covariance)
    pixels = torch.eye(D, dtype=y.dtype).view(D, *SHAPE)
    matrix = (
        problem.operator(pixels, y.expand(D, -1, -1, -1)).flatten(1).T
        @ (vectors * values.sqrt())
        @ vectors.T
    )
    precision = torch.eye(D, dtype=y.dtype) + matrix.T @ matrix / problem.sigma_y**2
    residual = problem.residual(prior.mean.view(1, *SHAPE), y[None]).flatten()
    return torch.linalg.solve(precision, matrix.T @ residual) / problem.sigma_y**2, precision


@pytest.mark.parametrize("anneal", [1.0, 10.0])
def test_adjusted_chains_have_the_posterior_moments(anneal):
    prior, num_chains = ToyPrior(), 64
    problem = ToyProblem(prior, sigma_y=0.2)
    y = measurements(prior, problem, 2)
    y[1] = 0  # nothing measured: the posterior is the prior
    x = draw(
        LatentLangevin(num_chains=num_chains, anneal=anneal), prior, problem, y, 150 * num_chains
    ).flatten(2)
    for samples, mean, covariance in zip(x, *problem.posterior(y), strict=True):
        assert_moments(samples, num_chains, mean, covariance)


def test_unadjusted_chains_have_the_moments_of_their_own_equilibrium():
    prior, num_chains, h = ToyPrior(), 64, 0.1
    problem = ToyProblem(prior, sigma_y=0.3)
    y = measurements(prior, problem, 1)
    method = LatentLangevin(num_chains=num_chains, metropolis=False, step=h, num_curvature=0)
    x = draw(method, prior, problem, y, 150 * num_chains)[0].flatten(1)
    mean, precision = latent_posterior(prior, problem, y[0])
    # z' = z - h P (z - mean) + sqrt(2 h) noise is stationary with covariance (P - h P^2 / 2)^-1
    covariance = torch.linalg.inv(precision - h / 2 * precision @ precision)
    root = torch.linalg.eigh(prior.covariance)
    root = (root[1] * root[0].sqrt()) @ root[1].T
    assert_moments(x, num_chains, prior.mean + root @ mean, root @ covariance @ root)


@pytest.mark.parametrize("num_warmup", [0, 1, 10])
def test_after_warm_up_the_target_does_not_depend_on_the_annealing(num_warmup):
    prior = ToyPrior()
    problem = ToyProblem(prior)
    y, rng = measurements(prior, problem, 4), Rng(AXES, range(4))
    method = LatentLangevin(num_warmup=num_warmup, anneal=10.0)

    def target(z: Tensor, level: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        return method.log_target(lambda z: latent.log_likelihood(prior, problem, y, z), z, level)

    curvature = torch.full((4, 1), 100.0, dtype=torch.float64)
    state, _ = method._warm_up(target, rng.randn((D,)), curvature, lambda: rng.randn((D,)))
    log_density, gradient = target(state.position)
    assert torch.equal(state.log_density, log_density) and torch.equal(state.gradient, gradient)


def test_samples_are_state_major():
    prior, num_chains, num_samples = ToyPrior(), 3, 8
    problem = ToyProblem(prior)
    y = measurements(prior, problem, 2)
    still = LatentLangevin(**NOTHING_BEFORE, num_chains=num_chains, metropolis=False, step=1e-16)
    x = draw(still, prior, problem, y, num_samples)
    for i in range(num_samples):  # chains that do not move show which of them a sample comes from
        distance = (x[:, i, None] - x[:, :num_chains]).flatten(2).norm(dim=2)
        assert (distance.argmin(1) == i % num_chains).all()
        assert (distance[:, i % num_chains] < 1e-5).all() and (
            distance.sort(1).values[:, 1] > 0.1
        ).all()


@pytest.mark.parametrize("num_chains", [1, 3])
def test_the_released_loop_leaves_out_its_last_update(num_chains):
    prior, num_samples = ToyPrior(), 9
    problem = ToyProblem(prior)
    y = measurements(prior, problem, 2)
    settings = RELEASED | NOTHING_BEFORE | {"num_chains": num_chains, "step": 0.01, "thin": 1}
    moving = draw(LatentLangevin(**settings), prior, problem, y, num_samples)
    x = draw(LatentLangevin(**settings, repeat_last=True), prior, problem, y, num_samples)
    assert torch.equal(x[:, :-num_chains], moving[:, :-num_chains])
    assert torch.equal(x[:, -num_chains:], moving[:, -2 * num_chains : -num_chains])


@dataclass(frozen=True)
class Steep(ToyProblem):
    """A(x) = x + 30 x^3: the curvature where a chain starts says nothing of the slope that it may meet."""

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        return y[:, :1] - (x + 30 * x**3)


def test_tamed_warm_up_survives_a_badly_scaled_problem(monkeypatch):
    prior = ToyPrior()
    problem, method = (
        Steep(prior),
        LatentLangevin(num_chains=8, num_adam=0, num_curvature=0, step=0.05),
    )
    x_true = prior.sample(1, Rng(("test", "y"), range(3)))[:, 0]
    y = x_true + 30 * x_true**3
    x = draw(method, prior, problem, y, 16)
    # a step is at most 2 sqrt(2 h D) by drift and about sqrt(2 h D) by noise, so 100 of them stay within 400
    assert x.isfinite().all() and x.abs().max() < 100
    monkeypatch.setattr(mcmc, "tamed_langevin_step", mcmc.langevin_step)
    # without taming chains are lost for good
    assert not draw(method, prior, problem, y, 16).isfinite().all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        RELEASED,
        RELEASED | NOTHING_BEFORE | {"thin": 1},
        RELEASED | {"thin": 1, "repeat_last": True},
        {
            "num_chains": 3,
            "num_adam": 1,
            "num_curvature": 1,
            "num_warmup": 2,
            "num_adapt": 3,
            "thin": 4,
        },
        {"num_chains": 50},
    ],
    ids=str,
)
def test_samples_are_finite_and_the_cost_is_as_stated(settings):
    assert_finite_at_the_stated_cost(LatentLangevin(**settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_chains": 0}, "num_chains = 0"),
        ({"step": -1.0}, "step = -1.0"),
        ({"num_warmup": -1}, "num_warmup = -1"),
        ({"anneal": 0.5}, "anneal = 0.5: expected a number >= 1"),
        ({"prior_drift": "flat"}, "'correct' or 'released'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        LatentLangevin(**settings)
