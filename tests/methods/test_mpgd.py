"""MPGD: DPS with the identity for the denoiser's Jacobian, step for step, and unguided without a scale."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.diffusion import ddpm_sigmas
from bench.numerics.steps import ddim_step
from bench.runtime.bare_calls import recorded
from methods.dps import DPS
from methods.mpgd import MPGD


def draw(method, prior, bed: GaussianBed):
    rng = Rng(("test", "mpgd"), range(bed.m), range(3))
    return method.sample(prior, bed.problem, bed.y, 3, rng=rng)


class Shifting:
    """A denoiser x + shift, whose Jacobian is the identity."""

    sigma_range = (0.0, math.inf)
    caps = Cap.DENOISER

    def __init__(self, shape) -> None:
        self.shape = shape

    def denoise(self, x_t, sigma):
        return x_t - 0.3 * sigma


def test_with_the_identity_as_jacobian_each_step_is_that_of_dps():
    bed, n, c = GaussianBed(correlated(), "average-pool"), 25, 0.4
    prior, calls = recorded(Shifting(bed.prior.shape))
    last = draw(MPGD(num_steps=n, scale=c, eta=1.0), prior, bed).flatten(0, 1)
    states = [*(call.inputs[0] for call in calls), last]
    sigmas, rng = ddpm_sigmas(n).flip(0), Rng(("test", "mpgd"), range(bed.m), range(3))
    noises = [noise.flatten(0, 1) for noise in rng.per_sample.steps(n + 1, bed.prior.shape)]
    for i, (sigma, sigma_next) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        # DPS takes 2 zeta sqrt(1 + sigma^2) sqrt(1 + sigma_next^2) times the gradient of the norm
        zeta = c / (2 * (1 + sigma.square()).sqrt())
        guide = DPS(num_steps=n)._guide(
            Shifting(bed.prior.shape), bed.problem, states[i], bed.y.repeat_interleave(3, 0), sigma
        )
        x_0, gradient, norm = guide
        scale = ((1 + sigma.square()) * (1 + sigma_next.square())).sqrt()
        shift = 2 * scale * zeta / norm.view(-1, 1, 1, 1) * gradient
        expected = ddim_step(states[i], x_0, sigma, sigma_next, 1.0, noises[i + 1]) - shift
        torch.testing.assert_close(states[i + 1], expected, rtol=1e-10, atol=1e-10)


class Unit(Shifting):
    """A denoiser sqrt(abar) x + shift, whose derivative in the papers' state is the identity."""

    def denoise(self, x_t, sigma):
        return x_t / (1 + sigma.square()).sqrt() - 0.3 * sigma


def test_with_the_identity_in_the_papers_state_it_is_dps_with_half_the_scale_as_zeta():
    bed = GaussianBed(correlated(), "average-pool")
    prior = Unit(bed.prior.shape)
    ours = draw(MPGD(num_steps=25, scale=0.4, eta=1.0), prior, bed)
    torch.testing.assert_close(
        draw(DPS(num_steps=25, zeta=0.2), prior, bed), ours, rtol=0, atol=1e-9
    )


def test_the_denoiser_is_never_differentiated():
    bed = GaussianBed(correlated(), "average-pool")
    prior, calls = recorded(bed.prior)
    draw(MPGD(num_steps=25), prior, bed)
    assert not any(call.inputs[0].requires_grad for call in calls)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_without_a_scale_samples_are_unguided(eta):
    bed = GaussianBed(correlated(), "average-pool")
    x = draw(MPGD(num_steps=25, scale=0.0, eta=eta), bed.prior, bed).flatten(0, 1)
    rng = Rng(("test", "mpgd"), range(bed.m), range(3))
    sigmas = ddpm_sigmas(25).flip(0)
    noises = rng.per_sample.steps(26, bed.prior.shape)
    state = (1 + sigmas[0] ** 2).sqrt() * next(noises).flatten(0, 1)
    for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
        x_0 = bed.prior.denoise(state, sigma)
        state = ddim_step(state, x_0, sigma, sigma_next, eta, noise.flatten(0, 1))
    torch.testing.assert_close(x, state, rtol=1e-12, atol=1e-12)


def test_a_scale_for_other_images_keeps_the_displacement_of_a_pixel():
    bed = GaussianBed(correlated(), "average-pool")
    scaled = draw(MPGD(num_steps=25, scale=1.0, scale_size=64), bed.prior, bed)
    assert torch.equal(scaled, draw(MPGD(num_steps=25, scale=0.5), bed.prior, bed))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"num_steps": 20}, "at least 21"), ({"scale": -1.0}, "scale = -1.0"), ({"eta": 2.0}, "eta")],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        MPGD(**settings)
