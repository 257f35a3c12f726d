"""DiffPIR: its proximal step is a conditional mean; with and without fresh noise it has a known limit."""

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

from methods.diffpir import DiffPIR

TAU, SIGMA = 0.5, 0.7


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(
    "settings", [{"prior_std": TAU}, {"prior_std": 0.0, "lam": 1 + (SIGMA / TAU) ** 2}]
)
def test_the_proximal_step_is_the_conditional_mean(operator, settings):
    bed = GaussianBed(isotropic(TAU), operator)
    expected = bed.given(first_state(bed, SIGMA), SIGMA)[0]
    x = drawn(DiffPIR(num_steps=1, sigma_max=SIGMA, **settings), bed)
    # rounding, and the residual of 2e-12 at which conjugate gradients stop, times a condition number of 25
    torch.testing.assert_close(x.flatten(1), expected, rtol=1e-9, atol=1e-9)


def test_without_fresh_noise_the_law_converges_to_the_posterior():
    bed = GaussianBed(isotropic(TAU), "average-pool")
    errors = [
        relative_errors(law_of(DiffPIR(num_steps=n, zeta=0.0, prior_std=TAU), bed), bed.posterior())
        for n in (25, 50, 100)
    ]
    # Euler's method on the probability-flow ODE is of first order: halved, up to terms of second order
    assert errors[1][1] < 0.6 * errors[0][1] and errors[2][1] < 0.6 * errors[1][1]
    assert max(errors[2]) < 0.1


def test_with_fresh_noise_the_law_stays_narrower_than_the_posterior():
    bed = GaussianBed(isotropic(TAU), "average-pool")

    def spread(num_steps: int, zeta: float) -> torch.Tensor:
        method = DiffPIR(num_steps=num_steps, zeta=zeta, prior_std=TAU)
        ours, true = law_of(method, bed)[1], bed.posterior()[1]
        return ours.diagonal(dim1=1, dim2=2).sum(1) / true.diagonal(dim1=1, dim2=2).sum(1)

    assert (spread(25, 0.3) < 0.95 * spread(25, 0.0)).all()
    assert (spread(25, 1.0) < 0.5).all() and (spread(50, 1.0) < 0.5).all()


def test_a_large_weight_of_the_denoised_image_ignores_the_measurement():
    bed = GaussianBed(correlated(), "blur")
    ignoring = DiffPIR(num_steps=5, lam=1e12)
    x = drawn(ignoring, bed, 3)
    bed.y.add_(1.0)
    torch.testing.assert_close(drawn(ignoring, bed, 3), x, rtol=0, atol=1e-8)


def test_rows_are_counted_and_none_goes_back():
    method, bed = DiffPIR(num_steps=4), GaussianBed(isotropic(TAU), "blur")
    assert metered(method, bed, 3) == method.nfe(bed.prior, 3)[:2] == (4, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_steps": 0}, "num_steps = 0"),
        ({"sigma_min": 0.0}, "sigma_min = 0.0"),
        ({"lam": 0.0}, "lam = 0.0"),
        ({"zeta": 2.0}, "zeta = 2.0"),
        ({"prior_std": -1.0}, "prior_std = -1.0"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        DiffPIR(**settings)
