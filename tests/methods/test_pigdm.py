"""PiGDM where it is exact: on N(0, tau^2 I), with the network's Jacobian and without; and DMPS for a flat prior."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_bed import (
    OPERATORS,
    GaussianBed,
    correlated,
    drawn,
    first_state,
    isotropic,
    law_of,
    metered,
    relative_errors,
)

from methods.pigdm import PiGDM

TAU = 0.5


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("jacobian", ["full", "scalar"])
@pytest.mark.parametrize("sigma", [0.05, 0.7])
def test_a_step_moves_the_denoised_image_to_the_conditional_mean(operator, jacobian, sigma):
    bed = GaussianBed(isotropic(TAU), operator)
    step = PiGDM(num_steps=1, sigma_max=sigma, prior_std=TAU, jacobian=jacobian)
    expected = bed.given(first_state(bed, sigma), sigma)[0]
    # rounding, and the residual of 2e-12 at which conjugate gradients stop, times a condition number of 25
    torch.testing.assert_close(drawn(step, bed).flatten(1), expected, rtol=1e-9, atol=1e-9)


def test_the_law_of_the_samples_converges_to_the_posterior():
    bed = GaussianBed(isotropic(TAU), "average-pool")
    errors = [
        relative_errors(law_of(PiGDM(num_steps=n, prior_std=TAU), bed), bed.posterior())
        for n in (20, 40, 80)
    ]
    # of first order in the steps' size: halved, up to terms of second order
    for (mean, covariance), (finer_mean, finer_covariance) in zip(
        errors[:-1], errors[1:], strict=True
    ):
        assert finer_mean < 0.6 * mean + 1e-4 and finer_covariance < 0.6 * covariance
    assert max(errors[-1]) < 0.15


def test_the_released_weighting_depends_on_the_number_of_steps():
    bed = GaussianBed(isotropic(TAU), "average-pool")
    seen = 4 * bed.matrices.mT @ bed.matrices  # the projection on what A sees: A A^T = I / 4

    def spread(weighting: str, num_steps: int) -> torch.Tensor:
        """Return the variance where A sees the image, over that of the posterior."""
        method = PiGDM(num_steps=num_steps, prior_std=TAU, weighting=weighting)
        laws = law_of(method, bed)[1], bed.posterior()[1]
        ours, true = ((seen @ law).diagonal(dim1=1, dim2=2).sum(1) for law in laws)
        return ours / true

    # it pulls by r^2 at every step, however small the step is, where the score pulls by sigma^2 - sigma_next^2
    assert (spread("released", 40) < 0.7 * spread("released", 20)).all()
    assert (spread("score", 40) > spread("score", 20)).all()


def test_the_state_in_the_place_of_the_denoised_image_is_exact_for_a_flat_prior():
    bed, sigma = GaussianBed(isotropic(1e4), "blur"), 0.7
    dmps = PiGDM(num_steps=1, sigma_max=sigma, point="state")
    expected = bed.given(first_state(bed, sigma), sigma)[0]
    # the prior pulls by (sigma / tau)^2 = 5e-9 of the image, which has values of 1e4 here
    torch.testing.assert_close(drawn(dmps, bed).flatten(1), expected, rtol=0, atol=1e-3)


def test_without_variance_it_is_the_gradient_of_the_likelihood_at_the_denoised_image():
    bed, sigma = GaussianBed(correlated(), "blur"), torch.tensor(0.7, dtype=torch.float64)
    x_t = first_state(bed, 0.7).requires_grad_()
    x_0 = bed.prior.denoise(x_t, sigma)
    (gradient,) = torch.autograd.grad(bed.problem.log_likelihood(x_0, bed.y).sum(), x_t)
    moved = drawn(PiGDM(num_steps=1, sigma_max=0.7, prior_std=1e-9), bed)[:, 0]
    torch.testing.assert_close(moved, x_0.detach() + 0.49 * gradient)


@pytest.mark.parametrize("settings", [{}, {"jacobian": "scalar"}, {"point": "state"}])
def test_rows_are_counted_and_only_the_full_jacobian_goes_back(settings):
    method, bed = PiGDM(num_steps=4, **settings), GaussianBed(isotropic(TAU), "blur")
    assert metered(method, bed, 3) == method.nfe(bed.prior, 3)[:2] == (4, 0 if settings else 4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_steps": 0}, "num_steps = 0"),
        ({"sigma_min": 0.0}, "sigma_min = 0.0"),
        ({"eta": 2.0}, "eta = 2.0"),
        ({"prior_std": 0.0}, "prior_std = 0.0"),
        ({"jacobian": "none"}, "jacobian = 'none'"),
        ({"point": "x"}, "point = 'x'"),
        ({"weighting": "x"}, "weighting = 'x'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        PiGDM(**settings)
