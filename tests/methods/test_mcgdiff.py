"""MCGdiff: evidence and samples of both weightings against the law of the chain, in closed form; levels; limits."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.chain_law import (
    assert_unbiased,
    chain_law,
    followed,
    log_density_at_y,
    log_evidence,
    posterior_of_law,
)
from helpers.conforming_method import refusals_of
from helpers.gaussian_bed import SHAPE, GaussianBed, correlated
from helpers.mixtures import error_of_means, mixture_task

from bench.conformance import check
from bench.core.provenance import ROOT
from bench.core.rng import Rng
from bench.numerics.coordinates import coordinates_of
from bench.numerics.diffusion import ancestral_step
from methods.mcgdiff import MCGdiff

LEVELS = {"num_steps": 10, "sigma_max": 5.0, "sigma_min": 0.1}


@torch.no_grad()
def clouds_of(method: MCGdiff, bed: GaussianBed, num_clouds: int):
    """Clouds of the first measurement."""
    rng = Rng(("test", "mcgdiff", method.num_particles), range(num_clouds))
    y = bed.y[:1].expand(num_clouds, *bed.y.shape[1:])
    return method.run(bed.prior, bed.problem, y, rng)


def sigmas_of(method: MCGdiff, bed: GaussianBed) -> torch.Tensor:
    measured = coordinates_of(bed.problem, bed.y[:1], bed.prior.shape)
    return method.levels(bed.prior, measured).flatten()


def law_at_measurement(method: MCGdiff, bed: GaussianBed):
    """The chain's law at the level of the measurement, the variance of y there, and the levels from there on.

    For operators whose singular values are all alike.
    """
    sigmas = sigmas_of(method, bed)
    (singular,) = torch.linalg.svdvals(bed.matrices[0]).unique().tolist()[-1:]
    level = bed.sigma_y / singular
    place = int((sigmas - level).abs().argmin())
    assert abs(sigmas[place] - level) < 1e-12 * level
    law = chain_law(bed.prior, sigmas[: place + 1])
    return law, singular**2 * method.kappa * (1 + level**2), sigmas[place:]


def exact_law(method: MCGdiff, bed: GaussianBed):
    """Moments of samples of the first measurement with unlimited particles, without drawing any."""
    law, variance, rest = law_at_measurement(method, bed)
    mean, covariance = posterior_of_law(bed, law, variance**0.5)
    return followed(bed.prior, (mean[0], covariance[0]), rest)


@pytest.mark.parametrize(
    ("operator", "num_particles"), [("average-pool", 1), ("average-pool", 4), ("inpaint-box", 8)]
)
def test_the_evidence_is_unbiased_at_the_level_of_the_measurement(operator, num_particles):
    # five pixels are seen, or blocks of four: with many more the mean of the weights is hardly ever met
    bed = GaussianBed(correlated((1, 3, 3) if operator == "inpaint-box" else SHAPE), operator, 1.0)
    method = MCGdiff(num_particles=num_particles, **LEVELS)
    clouds, _ = clouds_of(method, bed, 2000)
    law, variance, _ = law_at_measurement(method, bed)
    truth = log_density_at_y(bed, law, variance)[0]
    if operator == "inpaint-box":  # rows of zeros in the matrix: four pixels with no density
        truth = truth + 4 * 0.5 * torch.tensor(variance / bed.sigma_y**2).log()
    assert_unbiased(clouds.evidence, truth)


@pytest.mark.parametrize("operator", ["average-pool", "blur"])
def test_the_evidence_by_likelihood_is_unbiased_at_the_end(operator):
    bed = GaussianBed(correlated(), operator, sigma_y=1.5)
    # potentials wider than a step of the chain, or weights have no variance
    method = MCGdiff(num_particles=4, weighting="likelihood", kappa=1.0, **LEVELS)
    clouds, _ = clouds_of(method, bed, 3000)
    truth = log_evidence(bed, chain_law(bed.prior, sigmas_of(method, bed)))[0]
    assert_unbiased(clouds.evidence, truth)


def test_with_more_particles_samples_approach_their_law():
    bed = GaussianBed(correlated(), "average-pool", sigma_y=0.6)
    mean, covariance = exact_law(MCGdiff(**LEVELS), bed)
    errors = []
    for num_particles in (16, 256):
        _, x = clouds_of(MCGdiff(num_particles=num_particles, **LEVELS), bed, 50)
        means = x.view(50, num_particles, -1).mean(1)
        errors.append((((means - mean) / covariance.diagonal().sqrt()) ** 2).mean())
    # an error of 1 / K. Of 50 clouds and about 8 independent directions the ratio scatters by sqrt(2 * 2 / 400) = 0.1
    assert 0.7 < errors[0] / errors[1] / 16 < 1.4


def test_the_law_of_samples_approaches_the_posterior_with_the_steps():
    bed = GaussianBed(correlated(), "average-pool", sigma_y=0.3)
    mean, covariance = (part[0] for part in bed.posterior())
    errors = []
    for num_steps in (50, 100, 200):
        method = MCGdiff(num_steps=num_steps, kappa=1e-8)
        law_mean, law = exact_law(method, bed)
        scale = covariance.diagonal().sqrt()
        of_covariance = (law - covariance).norm() / covariance.norm()
        errors.append(max(float(((law_mean - mean) / scale).abs().max()), float(of_covariance)))
    # first order in the ratio of levels: halved each time, up to terms of second order
    assert errors[1] < 0.6 * errors[0] and errors[2] < 0.6 * errors[1]


def test_on_a_mixture_the_error_falls_with_the_particles():
    prior, problem, y = mixture_task()
    few, many = (
        error_of_means(
            MCGdiff(num_steps=40, num_particles=k, sigma_max=20.0), prior, problem, y, 24
        )
        for k in (4, 64)
    )
    # 1 / K and a bias of 40 steps below a tenth of the error at 64
    assert many < few / 8


def test_where_nothing_is_seen_particles_are_unguided():
    bed, k = GaussianBed(correlated(), "inpaint-box", m=1), 3
    blind = dataclasses.replace(bed)
    blind.__dict__["y"] = torch.zeros_like(bed.y)  # values and mask
    method = MCGdiff(num_particles=k, **LEVELS)
    clouds, x = clouds_of(method, blind, 2)
    sigmas, rng = sigmas_of(method, blind), Rng(("test", "mcgdiff", k), range(2))
    rng.rand((method.num_steps,))
    state = torch.zeros(2 * k, *bed.prior.shape).double()
    draws = [rng.randn((k, *bed.prior.shape)).flatten(0, 1) for _ in range(method.num_steps)]
    state = (1 + sigmas[0] ** 2).sqrt() * draws[0]
    for i in range(method.num_steps):
        noise = draws[i + 1] if i + 1 < method.num_steps else torch.zeros_like(state)
        denoised = bed.prior.denoise(state, sigmas[i])
        state = ancestral_step(state, denoised, sigmas[i], sigmas[i + 1], noise)
    torch.testing.assert_close(x, state, rtol=1e-12, atol=1e-12)
    assert not clouds.evidence.any()


def test_levels_of_coordinates_are_on_the_grid_where_there_is_one_near():
    bed, method = GaussianBed(correlated(), "blur", sigma_y=0.3), MCGdiff(**LEVELS)
    measured = coordinates_of(bed.problem, bed.y, bed.prior.shape)
    levels = method.levels(bed.prior, measured).flatten(1)
    assert (levels.diff(dim=0) < 0).all() and not levels[-1].any()
    ratio = (50 ** (1 / 9)) ** 0.5  # of a level to the border with the next one
    for row, wanted in zip(levels.T, measured.levels.flatten(1), strict=True):
        above = row[:-1][:, None] >= wanted  # the state just before the coordinate is let go
        nearest = torch.where(above, row[:-1][:, None], torch.inf).amin(0)
        inside = (wanted < 5.0) & (wanted > 0.1)
        assert inside.any() and (nearest[inside] / wanted[inside] < ratio**2 + 1e-9).all()
        assert torch.isin(wanted[inside].amax(), row)


def test_coupled_samples_conform_and_cost_their_share():
    results = check(ROOT / "methods/mcgdiff.py", settings={"joint": "coupled"})
    assert not refusals_of(results), "\n".join(refusals_of(results))
    cost = MCGdiff(num_steps=10, num_particles=32, joint="coupled").nfe(correlated(), 8)
    assert cost == (40, 0, False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weighting": "none"}, "weighting = 'none'"),
        ({"kappa": 0.0}, "kappa"),
        ({"joint": "chain"}, "joint = 'chain'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        MCGdiff(**settings)
