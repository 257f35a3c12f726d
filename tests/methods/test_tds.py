"""TDS: evidence and posterior under the law of the chain, in closed form; its limits, step for step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from helpers.chain_law import assert_unbiased, chain_law, log_evidence, posterior_of_law
from helpers.conforming_method import refusals_of
from helpers.gaussian_bed import GaussianBed, correlated
from helpers.mixtures import error_of_means, mixture_task

from bench.conformance import check
from bench.core.provenance import ROOT
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.clouds import geometric_sigmas
from bench.numerics.diffusion import ancestral_step
from methods.tds import TDS, Twist

LEVELS = {"num_steps": 8, "sigma_max": 5.0, "sigma_min": 0.1}


def sigmas_of(method: TDS) -> torch.Tensor:
    like = torch.empty(0, dtype=torch.float64)
    return geometric_sigmas(method.num_steps, method.sigma_max, method.sigma_min, like)


@torch.no_grad()
def clouds_of(method, bed, num_clouds: int, problem=None):
    """Clouds of the first measurement."""
    rng = Rng(("test", "tds", method.num_particles), range(num_clouds))
    y = bed.y[:1].expand(num_clouds, *bed.y.shape[1:])
    return method.run(bed.prior, problem or bed.problem, y, rng)


@pytest.mark.parametrize("num_particles", [1, 2, 8])
@pytest.mark.parametrize("operator", ["average-pool", "blur", "motion-blur"])
def test_the_evidence_is_unbiased_with_any_number_of_particles(operator, num_particles):
    bed = GaussianBed(correlated(), operator, sigma_y=1.0)
    threshold = 0.7 if operator == "blur" else 1.0
    method = TDS(num_particles=num_particles, ess_threshold=threshold, **LEVELS)
    clouds, _ = clouds_of(method, bed, 2000 // num_particles)
    truth = log_evidence(bed, chain_law(bed.prior, sigmas_of(method)))[0]
    assert_unbiased(clouds.evidence, truth)


def test_with_more_particles_samples_approach_the_posterior_of_the_chain():
    bed = GaussianBed(correlated(), "average-pool", sigma_y=0.6)
    mean, covariance = posterior_of_law(bed, chain_law(bed.prior, sigmas_of(TDS(**LEVELS))))
    errors = []
    for num_particles in (16, 256):
        clouds, x = clouds_of(TDS(num_particles=num_particles, **LEVELS), bed, 50)
        weights = clouds.log_weight.softmax(1)
        means = (weights[..., None] * x.view(50, num_particles, -1)).sum(1)
        scale = covariance[0].diagonal().sqrt()
        errors.append((((means - mean[0]) / scale) ** 2).mean())
    # an error of 1 / K. Of 50 clouds and about 8 independent directions the ratio scatters by sqrt(2 * 2 / 400) = 0.1
    assert 0.7 < errors[0] / errors[1] / 16 < 1.4


def test_on_a_mixture_the_error_falls_with_the_particles():
    prior, problem, y = mixture_task()
    few, many = (
        error_of_means(TDS(num_steps=40, num_particles=k, sigma_max=20.0), prior, problem, y, 24)
        for k in (4, 64)
    )
    # 1 / K and a bias of 40 steps below a tenth of the error at 64
    assert many < few / 8


def test_a_constant_twist_is_importance_sampling_from_the_chain(monkeypatch):
    bed = GaussianBed(correlated(), "average-pool", sigma_y=0.3)
    monkeypatch.setattr(Twist, "at", lambda self, x_0, *others: 0 * x_0.flatten(1).sum(1))
    method = TDS(num_particles=6, ess_threshold=0.0, **LEVELS)
    clouds, x = clouds_of(method, bed, 2)
    rng, sigmas = Rng(("test", "tds", 6), range(2)), sigmas_of(method)
    rng.rand((method.num_steps - 1,))
    draws = [rng.randn((6, *bed.prior.shape)).flatten(0, 1) for _ in range(method.num_steps)]
    state = (1 + sigmas[0] ** 2).sqrt() * draws[0]
    for i in range(method.num_steps):
        noise = draws[i + 1] if i + 1 < method.num_steps else torch.zeros_like(state)
        state = ancestral_step(
            state, bed.prior.denoise(state, sigmas[i]), sigmas[i], sigmas[i + 1], noise
        )
    torch.testing.assert_close(x, state, rtol=1e-12, atol=1e-12)
    likelihood = bed.problem.log_likelihood(state, bed.y[:1].expand(12, *bed.y.shape[1:]))
    torch.testing.assert_close(clouds.log_weight.flatten(), likelihood)


@pytest.mark.parametrize("operator", ["inpaint-box", "blur"])
def test_a_single_particle_is_dps_in_score_form(operator):
    bed, tau = GaussianBed(correlated(), operator, sigma_y=0.3), 0.7
    method = TDS(num_particles=1, prior_std=tau, **LEVELS)
    _, x = clouds_of(method, bed, 3)
    rng, sigmas, matrix = Rng(("test", "tds", 1), range(3)), sigmas_of(method), bed.matrices[0]
    rng.rand((method.num_steps - 1,))
    draws = [rng.randn((1, *bed.prior.shape)).flatten(0, 1) for _ in range(method.num_steps)]
    state, eye = (1 + sigmas[0] ** 2).sqrt() * draws[0], torch.eye(16).double()
    for i, sigma in enumerate(sigmas[:-1]):
        jacobian = torch.linalg.solve(bed.prior.covariance + sigma**2 * eye, bed.prior.covariance)
        x_0 = bed.prior.denoise(state, sigma)
        variance = sigma**2 * tau**2 / (sigma**2 + tau**2)
        total = variance * matrix @ matrix.T + 0.3**2 * torch.eye(len(matrix)).double()
        residual = bed.problem.residual(x_0, bed.y[:1].expand(3, *bed.y.shape[1:])).flatten(1)
        pull = torch.linalg.solve(total, residual.T).T @ matrix @ jacobian
        last = i + 1 == method.num_steps
        noise = torch.zeros_like(state) if last else draws[i + 1]
        guided = x_0 if last else x_0 + sigma**2 * pull.view_as(x_0)
        state = ancestral_step(state, guided, sigma, sigmas[i + 1], noise)
    torch.testing.assert_close(x, state, rtol=1e-9, atol=1e-9)


@dataclass(frozen=True)
class Tilt:
    """A reward exp(sum(x) / 2), whose expectation under a Gaussian is known."""

    caps: ClassVar[Cap] = Cap.GRAD

    def log_likelihood(self, x, y):
        return x.flatten(1).sum(1) / 2


def test_the_evidence_of_a_reward_is_unbiased():
    bed = GaussianBed(correlated(), "denoise")
    method = TDS(num_particles=4, **LEVELS)
    clouds, _ = clouds_of(method, bed, 1000, Tilt())
    mean, covariance = chain_law(bed.prior, sigmas_of(method))
    assert_unbiased(clouds.evidence, mean.sum() / 2 + covariance.sum() / 8)


def test_coupled_samples_conform_and_cost_their_share():
    results = check(ROOT / "methods/tds.py", settings={"joint": "coupled"})
    assert not refusals_of(results), "\n".join(refusals_of(results))
    cost = TDS(num_steps=10, num_particles=32, joint="coupled").nfe(correlated(), 8)
    assert cost == (40, 36, False)


def test_the_diagnosis_has_a_number_for_each_measurement():
    bed = GaussianBed(correlated(), "average-pool")
    said = TDS(num_particles=8, **LEVELS).diagnose(
        bed.prior, bed.problem, bed.y, 5, rng=Rng(("test", "said"), range(2))
    )
    assert {name: tuple(value.shape) for name, value in said.items()} == dict.fromkeys(
        ("log_z", "path_ess", "num_ancestors"), (2,)
    )
    assert (said["num_ancestors"] >= 1).all() and (said["path_ess"] >= 1 / 8).all()
    assert math.isfinite(said["log_z"].sum())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"joint": "chain"}, "joint = 'chain'"),
        ({"num_steps": 1}, "num_steps"),
        ({"prior_std": -1.0}, "prior_std"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        TDS(**settings)
