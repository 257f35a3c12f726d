"""MMPS on Gaussian priors of any covariance, where the denoiser's Jacobian gives the exact conditional."""

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

from methods.mmps import MMPS
from methods.pigdm import PiGDM

SIGMA = 0.7


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_full_solve_moves_the_denoised_image_to_the_conditional_mean(operator):
    bed = GaussianBed(correlated(), operator)
    expected = bed.given(first_state(bed, SIGMA), SIGMA)[0]
    x = drawn(MMPS(num_steps=1, sigma_max=SIGMA, num_solver=16), bed)
    # the matrix has a condition number of some hundreds, and a basis of 16 vectors loses some digits
    torch.testing.assert_close(x.flatten(1), expected, rtol=1e-8, atol=1e-8)


def test_the_law_of_the_samples_converges_to_the_posterior():
    bed = GaussianBed(correlated(), "average-pool")  # four values, so four iterations solve
    errors = [
        relative_errors(law_of(MMPS(num_steps=n, num_solver=4), bed), bed.posterior())
        for n in (20, 40)
    ]
    # of first order in the steps' size: halved, up to terms of second order
    assert errors[1][0] < 0.65 * errors[0][0] + 1e-4 and errors[1][1] < 0.65 * errors[0][1]
    assert max(errors[1]) < 0.3


def test_one_iteration_is_one_step_of_the_minimal_residual():
    bed, sigma_y = GaussianBed(correlated(), "blur"), 0.1
    x_t = first_state(bed, SIGMA)
    x_0 = bed.prior.denoise(x_t, torch.tensor(SIGMA, dtype=torch.float64))
    eye, prior = torch.eye(16, dtype=torch.float64), bed.prior.covariance
    jacobian = torch.linalg.solve(prior + SIGMA**2 * eye, prior)
    matrix = sigma_y**2 * eye + SIGMA**2 * bed.matrices @ jacobian @ bed.matrices.mT
    residual = bed.problem.residual(x_0, bed.y).flatten(1)[..., None]
    image = matrix @ residual
    length = (image * residual).sum(1, keepdim=True) / image.square().sum(1, keepdim=True)
    move = SIGMA**2 * jacobian @ bed.matrices.mT @ (length * residual)
    x = drawn(MMPS(num_steps=1, sigma_max=SIGMA, num_solver=1), bed)
    torch.testing.assert_close(x.flatten(1), x_0.flatten(1) + move[..., 0])


def test_with_one_eigenvalue_it_is_pigdm_after_one_iteration():
    bed = GaussianBed(isotropic(0.5), "denoise")
    x = drawn(MMPS(num_steps=5, num_solver=1), bed, 3)
    torch.testing.assert_close(x, drawn(PiGDM(num_steps=5, prior_std=0.5), bed, 3))


@pytest.mark.parametrize("num_solver", [1, 3])
def test_rows_are_counted(num_solver):
    method, bed = MMPS(num_steps=4, num_solver=num_solver), GaussianBed(correlated(), "blur")
    assert metered(method, bed, 3) == method.nfe(bed.prior, 3)[:2] == (4, 4 * num_solver)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_steps": 0}, "num_steps = 0"),
        ({"num_solver": 0}, "num_solver = 0"),
        ({"sigma_min": 0.0}, "sigma_min = 0.0"),
        ({"eta": 2.0}, "eta = 2.0"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        MMPS(**settings)
