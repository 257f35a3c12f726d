"""The multistep solver on Gaussians, where the probability-flow ODE has a closed form."""

from __future__ import annotations

import math

import pytest
import torch

from bench.numerics.multistep import dpm_solver, geometric_sigmas

SCALES = torch.tensor([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0], dtype=torch.float64)
MEAN = 0.3


def denoise(x_t, sigma):
    share = SCALES.square() / (SCALES.square() + sigma**2)
    return MEAN + share * (x_t - MEAN)


def end(num_steps, sigma_max=20.0):
    """Return the solver's end and the true one, from one deviation above the mean at sigma_max."""
    start = MEAN + (SCALES.square() + sigma_max**2).sqrt()
    sigmas = geometric_sigmas(num_steps, 0.002, sigma_max)
    return dpm_solver(denoise, start[None], sigmas)[0], MEAN + SCALES


def test_levels_are_even_in_the_logarithm():
    sigmas = geometric_sigmas(5, 0.002, 20.0)
    torch.testing.assert_close(sigmas[[0, -1]], torch.tensor([20.0, 0.002], dtype=torch.float64))
    torch.testing.assert_close(sigmas[1:] / sigmas[:-1], torch.full((4,), 0.1).double())


def test_spreads_of_gaussians_of_all_sizes_are_right_to_two_per_cent_after_20_evaluations():
    found, true = end(20)
    assert ((found - MEAN) / SCALES - 1).abs().max() < 0.02
    torch.testing.assert_close(found, true, rtol=0.02, atol=0)


def test_the_error_falls_as_the_square_of_the_step():
    errors = [(end(n)[0] - end(n)[1]).abs().max().item() for n in (40, 80, 160)]
    # the first step is of order one: it has one derivative only, and its error is of order two as well
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert all(order == pytest.approx(2.0, abs=0.25) for order in orders)


def test_each_step_costs_an_evaluation_and_gradients_pass():
    calls = []

    def counted(x_t, sigma):
        calls.append(float(sigma))
        return denoise(x_t, sigma)

    start = torch.ones(1, 7, dtype=torch.float64, requires_grad=True)
    dpm_solver(counted, start, geometric_sigmas(9, 0.002, 20.0)).sum().backward()
    assert len(calls) == 9
    assert calls[-1] == pytest.approx(0.002)
    assert (start.grad > 0).all()  # each coordinate shrinks by its own factor
