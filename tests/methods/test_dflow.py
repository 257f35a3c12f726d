"""D-Flow: ridge regression with a linear decoder, the norm's mode without data, and a stop without the truth."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated, isotropic
from helpers.latent_truth import assert_finite_at_the_stated_cost, draw

from methods.dflow import DFlow


@pytest.mark.parametrize("operator", ["inpaint-box", "blur"])
def test_of_a_linear_decoder_all_samples_end_at_the_posterior_mean(operator):
    bed = GaussianBed(correlated(), operator, sigma_y=0.4)
    method = DFlow(num_steps=400, learning_rate=0.1, prior_term="gaussian")
    x = draw(method, bed.prior, bed.problem, bed.y, 2).flatten(2)
    mean, covariance = bed.posterior()
    std = covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert (
        (x - mean[:, None]).abs() < 0.01 * std[:, None]
    ).all()  # at rest: the rate falls to zero


def test_a_weight_is_that_of_the_prior_in_nats():
    """Twice the weight of |z|^2 / 2 is the posterior under a prior of half the variance."""
    wide, narrow = (GaussianBed(isotropic(std), sigma_y=0.4) for std in (0.5, 0.5 / math.sqrt(2)))
    method = DFlow(num_steps=300, learning_rate=0.1, prior_term="gaussian", weight=2.0)
    x = draw(method, wide.prior, wide.problem, wide.y, 1).flatten(2)[:, 0]
    narrow.__dict__["y"] = wide.y  # the same measurements
    torch.testing.assert_close(x, narrow.posterior()[0], rtol=0, atol=1e-3)


def test_without_information_the_norm_prior_keeps_z_on_its_sphere():
    prior = isotropic(1.0)  # x = z
    bed = GaussianBed(prior, sigma_y=1e6)
    z = draw(DFlow(num_steps=400, prior_term="norm"), prior, bed.problem, bed.y, 3).flatten(2)
    # the mode of |z| for z ~ N(0, I) in d dimensions is sqrt(d - 1)
    expected = torch.full((2, 3), math.sqrt(z.shape[2] - 1), dtype=z.dtype)
    torch.testing.assert_close(z.norm(dim=2), expected, rtol=1e-4, atol=0)


def test_the_discrepancy_stops_each_row_at_the_level_of_the_noise():
    bed = GaussianBed(correlated(), "inpaint-box", sigma_y=0.2)
    method = DFlow(num_steps=400, learning_rate=0.02, prior_term="none", stop="discrepancy")
    x, y = (
        draw(method, bed.prior, bed.problem, bed.y, 4).flatten(0, 1),
        bed.y.repeat_interleave(4, 0),
    )
    chi2 = bed.problem.residual(x, y).square().flatten(1).sum(1) / 0.2**2
    share = chi2 / bed.problem.num_measured_values(y)
    # the first iterate below 1: a step of 0.02 per latent changes the residual's size by a few percent
    assert (share <= 1).all()
    assert (share > 0.8).all()
    fitted = draw(dataclasses.replace(method, stop="never"), bed.prior, bed.problem, bed.y, 4)
    residual = bed.problem.residual(fitted.flatten(0, 1), y)
    assert (residual.square().flatten(1).sum(1) / 0.2**2 < 0.5 * chi2).all()


@pytest.mark.parametrize("stop", ["never", "discrepancy"])
def test_its_cost_is_as_stated(stop):
    assert_finite_at_the_stated_cost(DFlow(num_steps=4, stop=stop))


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_steps", 0), ("weight", -1.0), ("prior_term", "flat"), ("stop", "psnr")],
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} = "):
        dataclasses.replace(DFlow(), **{field: value})
