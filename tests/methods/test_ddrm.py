"""DDRM: its hard identities, the equality with DDNM+, and by how much it is too narrow on a Gaussian."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated, isotropic, law_of

from bench.core.rng import Rng
from bench.numerics.diffusion import ddpm_sigmas
from bench.numerics.steps import renoise_step
from methods.ddrm import DDRM


def draw(method: DDRM, bed: GaussianBed, num_samples: int = 3, y=None, problem=None):
    rng = Rng(("test", "ddrm"), range(bed.m), range(num_samples))
    y = bed.y if y is None else y
    return method.sample(bed.prior, problem or bed.problem, y, num_samples, rng=rng)


class Noiseless:
    """The bed's problem with sigma_y = 0, which measurements of its own refuse."""

    sigma_y = 0.0

    def __init__(self, bed: GaussianBed) -> None:
        self.operator, self.residual = bed.problem.operator, bed.problem.residual


@pytest.mark.parametrize("operator", ["inpaint-box", "average-pool", "blur"])
@pytest.mark.parametrize("start", ["measured", "noise"])
def test_without_noise_the_measurement_is_met_exactly(operator, start):
    bed = GaussianBed(correlated(), operator)
    method = DDRM(start=start)
    # measured without noise, so that y is in the range of A
    x_true = bed.prior.sample(1, Rng(("test", "truth"), range(2)))[:, 0]
    noise = torch.zeros_like(bed.problem.operator(x_true, bed.y))
    uniform = torch.zeros_like(x_true) if bed.problem.operator.masked else None
    y = bed.problem.measure(x_true, noise, uniform)
    x = draw(method, bed, 3, y, Noiseless(bed)).flatten(0, 1)
    residual = bed.problem.residual(x, y.repeat_interleave(3, 0))
    # rounding alone: a singular value of 1e-3 amplifies it, and is multiplied again
    assert residual.abs().max() < 1e-12


def test_where_nothing_is_seen_samples_are_those_of_renoising_steps():
    bed, method = GaussianBed(correlated(), "inpaint-box"), DDRM(num_steps=25, eta=0.6)
    x = draw(method, bed, 3, torch.zeros_like(bed.y)).flatten(0, 1)
    rng = Rng(("test", "ddrm"), range(2), range(3))
    sigmas = ddpm_sigmas(1000)[torch.arange(1000, -1, -40)]
    state = sigmas[0] * rng.per_sample.randn(bed.prior.shape).flatten(0, 1)
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        noise = rng.per_sample.randn(bed.prior.shape).flatten(0, 1)
        x_0 = bed.prior.denoise(state, sigma)
        state = renoise_step(state, x_0, sigma, sigma_next, 0.6, noise)
    torch.testing.assert_close(x, state, rtol=1e-12, atol=1e-12)


def ddnm_plus(bed: GaussianBed, num_steps: int, eta: float, num_samples: int) -> torch.Tensor:
    """DDNM+ for masks as its paper writes it: E[x | x_t] corrected by Sigma A^+ (y - A x_0), noise of Phi.

    Wang et al., eq. 17 to 19, with x_t = x + sigma eps and a = the share of y. Where sigma_y is below the step's
    noise, y is taken whole and the noise is smaller by it; elsewhere y keeps its place as the direction of noise.
    """
    rng = Rng(("test", "ddrm"), range(bed.m), range(num_samples))
    mask = bed.y.chunk(2, 1)[1].repeat_interleave(num_samples, 0)
    values = bed.y.chunk(2, 1)[0].repeat_interleave(num_samples, 0)
    sigmas = ddpm_sigmas(1000)[torch.linspace(1000, 0, num_steps + 1).round().long()]
    state = sigmas[0] * rng.per_sample.randn(bed.prior.shape).flatten(0, 1)
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        noise = rng.per_sample.randn(bed.prior.shape).flatten(0, 1)
        x_0 = bed.prior.denoise(state, sigma)
        kept = (1 - eta**2) ** 0.5 * sigma_next
        unseen = x_0 + kept / sigma * (state - x_0) + eta * sigma_next * noise
        if sigma_next >= bed.sigma_y:
            seen = values + (sigma_next**2 - bed.sigma_y**2).sqrt() * noise
        else:
            seen = x_0 + kept / bed.sigma_y * (values - x_0) + eta * sigma_next * noise
        state = mask * seen + (1 - mask) * unseen
    return state.unflatten(0, (bed.m, num_samples))


def test_ddnm_plus_is_ddrm_from_noise():
    bed = GaussianBed(correlated(), "inpaint-box", sigma_y=0.3)
    x = draw(DDRM(start="noise", eta_b=1.0), bed)
    torch.testing.assert_close(x, ddnm_plus(bed, 20, 0.85, 3), rtol=1e-12, atol=1e-12)


def test_the_start_is_forgotten_at_once_where_y_is_seen():
    bed = GaussianBed(isotropic(0.5), "denoise", sigma_y=0.3)
    # all coordinates are seen, so that a step above sigma_y leaves y and noise alone
    assert torch.equal(draw(DDRM(start="noise"), bed), draw(DDRM(), bed))


def test_samples_are_too_narrow_on_a_gaussian_by_a_known_share():
    bed, eta = GaussianBed(isotropic(0.5), "denoise", sigma_y=0.3), 0.85
    _, covariance = law_of(DDRM(num_steps=100, eta=eta), bed)
    _, exact = bed.posterior()
    share = (covariance[0].diagonal() / exact[0].diagonal()).mean()
    # the last steps are renoised from x_0 alone: of the posterior's variance 0.29 is left (with 20 steps 0.33)
    assert 0.25 < share < 0.35


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_steps": 0}, "num_steps = 0"),
        ({"eta": 1.1}, "eta = 1.1"),
        ({"start": "y"}, "start = 'y'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        DDRM(**settings)
