"""LGD-MC: PiGDM with many draws, the gradient of DPS with one draw of no spread, and what is averaged."""

from __future__ import annotations

from functools import cached_property

import pytest
import torch
from helpers.gaussian_bed import (
    GaussianBed,
    correlated,
    drawn,
    first_state,
    isotropic,
    metered,
)

from bench.core.types import Cap
from bench.runtime.metering import ProblemView, bare
from methods.lgd_mc import LGDMC

SIGMA, TAU = 0.7, 0.5


class WithoutAdjoint(GaussianBed):
    """The bed with a problem that does not say that it is linear."""

    @cached_property
    def problem(self):
        return ProblemView(super().problem, bare, ~Cap.LINEAR)


def test_with_many_draws_a_step_moves_to_the_conditional_mean():
    bed = GaussianBed(isotropic(TAU), "average-pool", sigma_y=0.3, m=30)
    expected = bed.given(first_state(bed, SIGMA), SIGMA)[0]

    def error(num_draws: int) -> float:
        step = LGDMC(
            num_steps=1, sigma_max=SIGMA, prior_std=TAU, num_draws=num_draws, most_move=0.0
        )
        gaps = drawn(step, bed).flatten(1) - expected
        return float(gaps.square().mean().sqrt())

    # an error of 1 / root n, ten times less for 100 times the draws; 30 measurements tell it to about 20 per cent
    few, many = error(200), error(20_000)
    assert many < 0.15 * few and many < 0.01


def guided(bed: GaussianBed, value) -> torch.Tensor:
    """Return the denoised image plus sigma^2 times the gradient of value(x_0), at the first state."""
    x_t = first_state(bed, SIGMA).requires_grad_()
    x_0 = bed.prior.denoise(x_t, torch.tensor(SIGMA, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(value(x_0).sum(), x_t)
    return x_0.detach() + SIGMA**2 * gradient


def test_one_draw_without_spread_is_the_gradient_of_the_likelihood_at_the_denoised_image():
    bed = GaussianBed(correlated(), "blur")
    expected = guided(bed, lambda x_0: bed.problem.log_likelihood(x_0, bed.y))
    for average in ("likelihood", "gradient"):
        step = LGDMC(
            num_steps=1, sigma_max=SIGMA, prior_std=0.0, num_draws=1, average=average, most_move=0.0
        )
        torch.testing.assert_close(drawn(step, bed)[:, 0], expected)


def test_averaged_gradients_of_a_linear_problem_do_not_know_the_spread():
    bed = GaussianBed(correlated(), "blur", sigma_y=0.5)
    expected = guided(bed, lambda x_0: bed.problem.log_likelihood(x_0, bed.y))
    step = LGDMC(num_steps=1, sigma_max=SIGMA, average="gradient", num_draws=40_000, most_move=0.0)
    # draws move by 0.41, their mean by 0.002; sigma^2 / sigma_y^2 = 2 of that reach the image
    torch.testing.assert_close(drawn(step, bed)[:, 0], expected, rtol=0, atol=0.02)


def test_the_released_step_follows_the_gradient_of_the_norm():
    bed, zeta = GaussianBed(correlated(), "blur"), 0.3
    settings = {"average": "gradient", "weighting": "released", "zeta": zeta}
    step = LGDMC(num_steps=1, sigma_max=SIGMA, prior_std=0.0, num_draws=1, **settings)
    norm = guided(bed, lambda x_0: bed.problem.residual(x_0, bed.y).flatten(1).norm(dim=1))
    x_0 = bed.prior.denoise(first_state(bed, SIGMA), torch.tensor(SIGMA, dtype=torch.float64))
    gradient = (norm - x_0) / SIGMA**2
    expected = x_0 - zeta * (1 + SIGMA**2) ** 0.5 * gradient  # of sqrt(abar) x_t, as in DPS
    torch.testing.assert_close(drawn(step, bed)[:, 0], expected)


def test_moves_are_no_longer_than_draws_of_the_spread():
    bed = GaussianBed(correlated(), "blur", sigma_y=0.01)
    x_0 = bed.prior.denoise(first_state(bed, SIGMA), torch.tensor(SIGMA, dtype=torch.float64))
    free, cut = (
        drawn(LGDMC(num_steps=1, sigma_max=SIGMA, most_move=most), bed)[:, 0] - x_0
        for most in (0.0, 1.0)
    )
    lengths = cut.flatten(1).norm(dim=1)
    longest = SIGMA * TAU / (SIGMA**2 + TAU**2) ** 0.5 * 4  # 16 pixels
    torch.testing.assert_close(lengths, torch.full_like(lengths, longest))
    torch.testing.assert_close(cut / longest, free / free.flatten(1).norm(dim=1).view(-1, 1, 1, 1))


@pytest.mark.parametrize("average", ["likelihood", "gradient"])
@pytest.mark.parametrize("operator", ["blur", "inpaint-box"])
def test_the_adjoint_gives_the_gradient_of_the_likelihood(operator, average):
    step = LGDMC(num_steps=3, average=average)
    by_adjoint, by_autograd = (
        drawn(step, bed(correlated(), operator)) for bed in (GaussianBed, WithoutAdjoint)
    )
    torch.testing.assert_close(by_adjoint, by_autograd)


@pytest.mark.parametrize("settings", [{}, {"weighting": "released"}, {"num_draws": 1}])
def test_all_draws_of_a_step_share_one_row_forward_and_back(settings):
    method, bed = LGDMC(num_steps=4, **settings), GaussianBed(correlated(), "blur")
    assert metered(method, bed, 3) == method.nfe(bed.prior, 3)[:2] == (4, 4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_draws": 0}, "num_draws = 0"),
        ({"sigma_min": 0.0}, "sigma_min = 0.0"),
        ({"eta": 2.0}, "eta = 2.0"),
        ({"prior_std": -1.0}, "prior_std = -1.0"),
        ({"most_move": -1.0}, "most_move = -1.0"),
        ({"prior_std": 0.0}, "most_move = 1.0: expected 0 with prior_std = 0"),
        ({"average": "x"}, "average = 'x'"),
        ({"weighting": "x"}, "weighting = 'x'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        LGDMC(**settings)
