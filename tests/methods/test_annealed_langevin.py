"""Annealed Langevin: the stationary law of one level on a Gaussian prior, in closed form, and its limit."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated, isotropic, law_of, relative_errors

from methods.annealed_langevin import AnnealedLangevin, largest_gain

TAU = 0.5


@pytest.mark.parametrize(
    ("operator", "step", "num_steps"),
    [
        ("inpaint-box", 0.1, 60),
        ("inpaint-box", 0.9, 20),
        ("average-pool", 0.9, 20),
        ("motion-blur", 0.9, 20),
    ],
)
def test_the_covariance_of_a_level_is_the_known_one(operator, step, num_steps):
    bed, sigma = GaussianBed(isotropic(TAU), operator, sigma_y=0.3), 0.5
    method = AnnealedLangevin(
        num_levels=1, num_inner=num_steps, step=step, sigma_max=sigma, sigma_min=sigma
    )
    mean, covariance = law_of(method, bed)
    eye, matrix = torch.eye(16).double(), bed.matrices
    gain = torch.linalg.matrix_norm(matrix, 2).square()
    noise = (0.3**2 + sigma**2 * gain).view(-1, 1, 1)
    precision = eye / (TAU**2 + sigma**2) + matrix.mT @ matrix / noise
    alpha = step * sigma**2
    expected = torch.linalg.inv(precision - alpha * precision @ precision / 2)
    # what is left of the start where nothing is seen, 0.05 with the small step
    left = (1 - alpha / (TAU**2 + sigma**2)) ** num_steps
    start = left**2 * sigma**2 / expected.diagonal(dim1=1, dim2=2).amin() + left**2
    of_mean, of_covariance = relative_errors((mean, covariance), (mean, expected))
    assert of_mean == 0 and of_covariance < start + 1e-9
    pull = matrix.mT @ bed.residual[..., None] / noise
    posterior_mean = torch.linalg.solve(precision, pull)[..., 0]
    assert ((mean - posterior_mean).abs() < left * posterior_mean.abs().amax() + 1e-9).all()


def test_with_small_steps_and_noise_samples_approach_the_posterior():
    bed = GaussianBed(correlated(), "average-pool", sigma_y=0.3)
    errors = []
    for num_levels, step in ((20, 0.4), (40, 0.2), (80, 0.1)):
        method = AnnealedLangevin(num_levels=num_levels, num_inner=2, step=step, sigma_min=0.05)
        errors.append(max(relative_errors(law_of(method, bed), bed.posterior())))
    assert errors[2] < errors[1] < errors[0]


def test_the_largest_gain_is_that_of_the_matrix():
    bed = GaussianBed(correlated(), "motion-blur")
    expected = torch.linalg.matrix_norm(bed.matrices, 2).square()
    # power iterations approach it from below, by the ratio of the two largest values to the power 60
    gain = largest_gain(bed.problem, bed.y, bed.prior.shape)
    assert (gain <= expected + 1e-12).all() and (gain > 0.98 * expected).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"step": 1.0}, "step = 1.0"),
        ({"num_inner": 0}, "num_inner"),
        ({"sigma_max": 0.001}, "sigma"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        AnnealedLangevin(**settings)
