"""Gaussian conditioning with and without a spectrum, and the Krylov solvers, against dense linear algebra."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.gaussian_bed import OPERATORS, GaussianBed, Impulses, conditioned, isotropic

from bench.core.types import Cap
from bench.numerics.conditioning import (
    MOST_ITERATIONS,
    Conditioning,
    conditioning,
    conjugate_gradients,
    langevin,
    minimal_residual,
)

VARIANCE = torch.tensor(0.3, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def both_ways(bed: GaussianBed) -> list[Conditioning]:
    """Return the conditioning by the spectrum where there is one, and by conjugate gradients."""
    found = conditioning(bed.problem, bed.y, bed.prior.shape)
    assert (found.spectrum is None) == (Cap.SPECTRUM not in bed.problem.caps)
    return [found, dataclasses.replace(found, spectrum=None)]


def dense(bed: GaussianBed, mean: torch.Tensor, sigma_y: float | None = None):
    """Return moments of N(mean, VARIANCE I) given y."""
    covariance = VARIANCE * torch.eye(16, dtype=torch.float64).expand(bed.m, -1, -1)
    noise = (sigma_y or bed.sigma_y) ** 2 * torch.eye(bed.matrices.shape[1], dtype=torch.float64)
    residual = bed.problem.residual(mean, bed.y).flatten(1)
    return conditioned(mean.flatten(1), covariance, bed.matrices, residual, noise)


@pytest.mark.parametrize("operator", OPERATORS)
def test_means_and_draws_have_the_moments_of_the_conditional(operator):
    bed = GaussianBed(isotropic(1.0), operator)
    mean = normal(bed.m, *bed.prior.shape)
    true_mean, true_covariance = dense(bed, mean)
    for way in both_ways(bed):
        # conjugate gradients stop at a residual of 2e-12, and the condition number is 31
        close = {"rtol": 1e-9, "atol": 1e-9}
        torch.testing.assert_close(way.mean(mean, VARIANCE).flatten(1), true_mean, **close)
        # a draw is affine in its noise: its columns give the covariance without drawing anything
        (size,) = way.noise_shape
        noise = Impulses(bed.m, size + 1).randn((size,))
        rows = [dataclasses.replace(way, y=y.expand(size + 1, *y.shape)) for y in bed.y]
        rows = [
            conditioning(bed.problem, row.y, bed.prior.shape) if way.spectrum else row
            for row in rows
        ]
        draws = torch.stack(
            [
                row.draw(m.expand(size + 1, *m.shape), VARIANCE, n).flatten(1)
                for row, m, n in zip(rows, mean, noise, strict=True)
            ]
        )
        columns = draws[:, :-1] - draws[:, -1:]
        torch.testing.assert_close(draws[:, -1], true_mean, **close)
        torch.testing.assert_close(columns.mT @ columns, true_covariance, **close)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_gain_is_the_gradient_of_the_widened_likelihood(operator):
    bed = GaussianBed(isotropic(1.0), operator)
    mean = normal(bed.m, *bed.prior.shape).requires_grad_()
    total = VARIANCE * bed.matrices @ bed.matrices.mT
    total = total + bed.sigma_y**2 * torch.eye(total.shape[1], dtype=torch.float64)
    residual = bed.problem.residual(mean, bed.y)
    flat = residual.flatten(1)[..., None]
    log_density = -0.5 * (flat.mT @ torch.linalg.solve(total, flat)).sum()
    (expected,) = torch.autograd.grad(log_density, mean)
    for way in both_ways(bed):
        gain = way.gain(residual.detach(), VARIANCE)
        torch.testing.assert_close(gain, expected, rtol=1e-9, atol=1e-9)


def test_another_noise_level_may_be_assumed():
    bed = GaussianBed(isotropic(1.0), "blur")
    mean = normal(bed.m, *bed.prior.shape)
    assumed = conditioning(bed.problem, bed.y, bed.prior.shape, sigma_y=0.5)
    expected = dense(bed, mean, 0.5)[0]
    torch.testing.assert_close(assumed.mean(mean, VARIANCE).flatten(1), expected)


def test_rows_of_conjugate_gradients_do_not_interact():
    bed = GaussianBed(isotropic(1.0), "motion-blur", m=3)
    mean = normal(3, *bed.prior.shape)
    alone = conditioning(bed.problem, bed.y, bed.prior.shape).mean(mean, VARIANCE)
    for other in (1e6 * bed.y[1, :1], torch.full_like(bed.y[1, :1], torch.nan)):
        y = bed.y.clone()
        y[1, :1] = other  # the values, and not the kernel beside them
        moved = conditioning(bed.problem, y, bed.prior.shape).mean(mean, VARIANCE)
        assert torch.equal(moved[[0, 2]], alone[[0, 2]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conjugate_gradients_stop_at_convergence_and_at_their_limit(dtype):
    factor = normal(3, 12, 12).to(dtype)
    matrix = factor @ factor.mT + 0.1 * torch.eye(12, dtype=dtype)
    b, calls = normal(3, 12, seed=1).to(dtype), []

    def apply(v):
        calls.append(1)
        return (matrix @ v[..., None])[..., 0]

    b[1] = 0  # converged at the start: the answer is zero, not 0 / 0
    x = conjugate_gradients(apply, b)
    assert len(calls) < MOST_ITERATIONS and not x[1].any()
    # the residual is eps^(3/4) of b, up to rounding errors that grow with the condition number of some hundreds
    residual = (apply(x) - b).norm(dim=1) / b.norm(dim=1).clamp_min(1)
    assert (residual < 10 * torch.finfo(dtype).eps ** 0.75).all()
    calls.clear()
    conjugate_gradients(apply, b, most_iterations=3)
    assert len(calls) == 3


@pytest.mark.parametrize("num_iterations", [1, 2, 5])
def test_minimal_residual_is_least_squares_over_the_krylov_space(num_iterations):
    n, size = 4, 9
    matrix = torch.eye(size, dtype=torch.float64) + 0.4 * normal(n, size, size)  # not symmetric
    linear, b = normal(n, 5, size, seed=1), normal(n, size, seed=2)

    def apply(v):
        return (matrix @ v[..., None])[..., 0], (linear @ v[..., None])[..., 0]

    found = minimal_residual(apply, b, num_iterations)
    powers = [b[..., None]]
    for _ in range(num_iterations - 1):
        powers.append(matrix @ powers[-1])
    basis = torch.cat(powers, 2)
    u = basis @ torch.linalg.lstsq(matrix @ basis, b[..., None]).solution
    torch.testing.assert_close(found, (linear @ u)[..., 0], rtol=1e-8, atol=1e-8)


def test_minimal_residual_solves_exactly_and_stays_finite_after_it():
    matrix = torch.diag(torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64))
    b = torch.tensor([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    # two different eigenvalues, so two iterations are enough, and one for the second row
    x = minimal_residual(lambda v: (v @ matrix, v), b, 5)
    torch.testing.assert_close(x, b @ matrix.inverse())


def test_langevin_steps_reach_the_conditional():
    bed = GaussianBed(isotropic(1.0), "denoise", sigma_y=1.0, m=1)
    mean, rows = normal(1, 16).view(1, 1, 4, 4), 4000
    y = bed.y.expand(rows, -1, -1, -1)
    # each step shrinks the distance by 1 - step / variance of the conditional, 0.23
    step, num_steps = 0.02, 150
    noises = normal(num_steps, rows, *bed.prior.shape, seed=3)
    x = langevin(bed.problem, y, mean.expand(rows, -1, -1, -1), VARIANCE, step, noises).flatten(1)
    true_mean, true_covariance = (part[0] for part in dense(bed, mean))
    variance = true_covariance[0, 0]
    # an unadjusted chain has a variance larger by 1 / (1 - step / (2 variance)); four standard errors beside that
    error = 4 / rows**0.5
    assert (x.mean(0) - true_mean).abs().max() < error * variance.sqrt()
    assert (x.var(0) / (variance / (1 - step / (2 * variance))) - 1).abs().max() < 2**0.5 * error
    faint = langevin(
        bed.problem, y[:1], mean, VARIANCE, step, torch.zeros(num_steps, 1, 1, 4, 4), 0.0
    )
    assert torch.equal(faint, mean)
