"""Total variation: closed forms of two pixels and of heavy weights, and another algorithm for the same minimum."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, correlated, isotropic
from helpers.latent_truth import assert_finite_at_the_stated_cost, draw
from skimage.restoration import denoise_tv_chambolle

from bench.problems import make_problem
from methods.tv import TotalVariation, adjoint_of_differences, differences, squared_norm


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def denoised(y: torch.Tensor, sigma_y: float, **settings) -> torch.Tensor:
    prior = isotropic(1.0, tuple(y.shape[1:]))
    problem = make_problem("denoise", {}, sigma_y, prior.shape)
    return draw(TotalVariation(**settings), prior, problem, y, 1)[:, 0]


def test_two_pixels_move_together_by_the_weight():
    y = torch.tensor([[0.9, -0.3], [0.1, 0.2]], dtype=torch.float64)[:, None, None]
    x = denoised(y, 0.5, weight=1.0)[:, 0, 0]
    # each moves by weight sigma_y^2 = 0.25 towards the other, and no farther than their mean
    expected = torch.tensor([[0.65, -0.05], [0.15, 0.15]], dtype=torch.float64)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-9)


def test_a_heavy_weight_leaves_the_mean_and_none_leaves_the_measurement():
    y = randn(2, 1, 5, 4)
    mean = y.mean((2, 3), keepdim=True).expand_as(y)
    torch.testing.assert_close(denoised(y, 1.0, weight=1e3), mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(denoised(y, 1.0, weight=0.0), y, rtol=0, atol=1e-12)


def test_it_finds_the_minimum_of_another_algorithm():
    """Chambolle's projection (scikit-image) minimises TV(x) + |y - x|^2 / (2 weight sigma_y^2)."""
    y = randn(1, 1, 8, 8, seed=1)
    x = denoised(y, 0.5, weight=1.0, num_steps=1000)[0, 0]
    other = denoise_tv_chambolle(y[0, 0].numpy(), weight=0.25, eps=1e-12, max_num_iter=5000)
    # 5000 steps of the projection, whose error falls as 1 / steps: 1 / 5000 of values of size 1, and some more
    torch.testing.assert_close(x, torch.tensor(other), rtol=0, atol=1e-3)


@pytest.mark.parametrize("operator", ["inpaint-box", "average-pool", "motion-blur"])
def test_no_small_change_lowers_the_objective(operator):
    bed = GaussianBed(correlated((1, 8, 8)), operator, sigma_y=0.2)
    method = TotalVariation(weight=2.0, num_steps=1500)
    x = draw(method, bed.prior, bed.problem, bed.y, 1)[:, 0]

    def objective(x: torch.Tensor) -> torch.Tensor:
        variation = differences(x).square().sum((1, 4)).sqrt().sum((1, 2))
        return 2.0 * variation - bed.problem.log_likelihood(x, bed.y)

    lowest = objective(x)
    for seed in range(12):
        moved = objective(x + 0.01 * randn(*x.shape, seed=seed))
        smooth = objective(x + 0.01 * randn(2, 1, 1, 1, seed=seed))  # along what TV does not see
        # convex: at the minimum no direction goes down; 1e-4 of the objective for the iterations that are missing
        assert (torch.minimum(moved, smooth) > lowest - 1e-4 * lowest.abs()).all()


def test_differences_have_an_adjoint_and_a_norm_below_eight():
    x, u = randn(2, 3, 5, 4), randn(2, 3, 5, 4, 2, seed=1)
    torch.testing.assert_close((differences(x) * u).sum(), (x * adjoint_of_differences(u)).sum())
    matrix = differences(torch.eye(16).double().view(16, 1, 4, 4)).flatten(1)
    assert torch.linalg.matrix_norm(matrix, 2).square() < 8


@pytest.mark.parametrize("operator", ["inpaint-box", "average-pool", "motion-blur"])
def test_the_norm_of_the_operator_is_within_the_safety_factor(operator):
    bed = GaussianBed(correlated(), operator)
    found = squared_norm(bed.problem, bed.y, randn(2, 1, 4, 4)).flatten()
    exact = torch.linalg.matrix_norm(bed.matrices, 2).square()
    assert (found <= exact * (1 + 1e-9)).all()
    assert (found > exact / 1.2).all()


def test_it_costs_no_row_through_the_network():
    meter = assert_finite_at_the_stated_cost(TotalVariation(num_steps=3))
    assert (meter.forward, meter.backward) == (0, 0)


@pytest.mark.parametrize(("field", "value"), [("weight", -1.0), ("num_steps", 0)])
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field} = "):
        dataclasses.replace(TotalVariation(), **{field: value})
