"""Wiener filter: the posterior mean of the Gaussian that it assumes, written down by scipy's cosine transform."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers.gaussian_bed import OPERATORS, GaussianBed, GaussianPrior
from helpers.latent_truth import assert_finite_at_the_stated_cost, draw
from scipy.fft import idct

from methods.wiener import Wiener


def assumed(method: Wiener, channels: int, height: int, width: int) -> GaussianPrior:
    """Return the Gaussian of the docstring over images of a shape."""
    rows, columns = (idct(np.eye(side), axis=0, norm="ortho") for side in (height, width))
    frequency = np.hypot.outer(np.arange(height), np.arange(width))
    power = (1 + (frequency / method.corner) ** 2) ** (-method.decay / 2)
    power *= method.std**2 / power.mean()
    basis = np.kron(rows, columns)
    rho = method.channel_correlation
    mixed = rho + (1 - rho) * np.eye(channels)
    covariance = np.kron(mixed, basis @ np.diag(power.ravel()) @ basis.T)
    mean = torch.full((len(covariance),), method.mean, dtype=torch.float64)
    return GaussianPrior(mean, torch.tensor(covariance), (channels, height, width))


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_posterior_mean_under_its_assumptions(operator):
    method = Wiener(mean=-0.3, std=0.6, decay=2.5, corner=1.5)
    bed = GaussianBed(assumed(method, 1, 4, 6), operator)
    x = draw(method, bed.prior, bed.problem, bed.y, 1)[:, 0].flatten(1)
    # conjugate gradients end at eps^(3/4) = 2e-12 of the residual; the matrix's condition is below 1e3; the channels'
    # matrix is made in float32
    torch.testing.assert_close(x, bed.posterior()[0], rtol=0, atol=1e-7)


def test_channels_borrow_from_each_other():
    method = Wiener(channel_correlation=0.95)
    bed = GaussianBed(assumed(method, 3, 4, 4), "average-pool")
    x = draw(method, bed.prior, bed.problem, bed.y, 1)[:, 0].flatten(1)
    torch.testing.assert_close(x, bed.posterior()[0], rtol=0, atol=1e-6)


def test_a_pixel_has_the_standard_deviation_on_average():
    prior = assumed(Wiener(std=0.7), 1, 5, 3)
    assert prior.covariance.diagonal().mean().sqrt() == pytest.approx(0.7)


def test_it_costs_no_row_through_the_network():
    meter = assert_finite_at_the_stated_cost(Wiener())
    assert (meter.forward, meter.backward) == (0, 0)


@pytest.mark.parametrize(("field", "value"), [("std", 0.0), ("corner", -1.0)])
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} = "):
        dataclasses.replace(Wiener(), **{field: value})
