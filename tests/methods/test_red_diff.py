"""RED-diff: on a Gaussian prior at one noise level it finds a ridge solution in closed form."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.gaussian_bed import GaussianBed, isotropic

from bench.core.rng import Rng
from bench.problems import make_problem
from methods.red_diff import REDDiff, pseudo_inverse

TAU, SIGMA = 0.5, 1.0


class Silent:
    """Streams of samples whose noise is zero."""

    def __init__(self, m: int, num_samples: int) -> None:
        self.per_sample, self.shape = self, (m, num_samples)

    def steps(self, num_steps: int, shape):
        return (torch.zeros(*self.shape, *shape).double() for _ in range(num_steps))


def bed_at_one_level(operator: str) -> GaussianBed:
    prior = dataclasses.replace(isotropic(TAU), sigma_range=(SIGMA, SIGMA))
    return GaussianBed(prior, operator, sigma_y=0.3)


def ridge(bed: GaussianBed, weight: float) -> torch.Tensor:
    """The minimum of |y - A x|^2 / 2n + weight / d |x|^2 / 2 sigma^2 / (sigma^2 + tau^2), (m, *x)."""
    matrix, d = bed.matrices, len(bed.prior.mean)
    share = weight * SIGMA**2 / (SIGMA**2 + TAU**2)  # x - D(x) = share x
    gram = matrix.mT @ matrix / matrix.shape[1] + share / d * torch.eye(d).double()
    pull = matrix.mT @ bed.residual[..., None] / matrix.shape[1]
    return torch.linalg.solve(gram, pull).view(bed.m, *bed.prior.shape)


@pytest.mark.parametrize("operator", ["inpaint-box", "average-pool", "motion-blur"])
def test_at_one_level_it_finds_the_ridge_solution(operator):
    bed = bed_at_one_level(operator)
    method = REDDiff(num_steps=600, weight=0.25, learning_rate=0.02)
    x = method.sample(bed.prior, bed.problem, bed.y, 1, rng=Silent(2, 1))[:, 0]  # pyright: ignore
    # Adam without noise: what is left after 600 steps is far below a hundredth of an image's numbers
    torch.testing.assert_close(x, ridge(bed, 0.25), rtol=0, atol=3e-3)


def test_noise_of_the_levels_leaves_the_mean_and_hardly_any_spread():
    bed = bed_at_one_level("average-pool")
    method = REDDiff(num_steps=600, weight=0.25, learning_rate=0.02)
    rng = Rng(("test", "red"), range(2), range(30))
    x = method.sample(bed.prior, bed.problem, bed.y, 30, rng=rng)
    # Adam walks with steps of 0.02 around the minimum, so that the spread is some of them; the posterior's is 0.4
    spread = x.std(1)
    assert (spread < 0.15).all()
    assert ((x.mean(1) - ridge(bed, 0.25)).abs() < 0.05 + 4 * spread / 30**0.5).all()


def test_without_a_spectrum_it_starts_from_zero_and_with_one_from_the_pseudo_inverse():
    seen = []

    class Watched(type(isotropic(TAU))):
        def denoise(self, x_t, sigma):
            seen.append(x_t)
            return super().denoise(x_t, sigma)

    bed = bed_at_one_level("average-pool")
    prior = Watched(bed.prior.mean, bed.prior.covariance)
    method = REDDiff(num_steps=21)
    for operator in ("average-pool", "blur", "motion-blur"):
        bed, seen[:] = bed_at_one_level(operator), []
        method.sample(prior, bed.problem, bed.y, 1, rng=Silent(2, 1))  # pyright: ignore
        start = seen[0].flatten(1)
        if operator == "motion-blur":
            assert not start.any()
        else:
            # small singular values of the blur count as zero
            expected = torch.linalg.pinv(bed.matrices[0], rtol=0.03) @ bed.residual[0]
            torch.testing.assert_close(start[0], expected)


def test_a_blur_with_tiny_singular_values_does_not_start_from_amplified_noise():
    shape = (1, 8, 8)
    prior, sigma_y = isotropic(TAU, shape), 0.1
    problem = make_problem("blur", {"kernel_size": 9, "std": 1.5}, sigma_y, shape)
    y = problem.simulate(
        prior.sample(1, Rng(("test", "red"), range(2)))[:, 0], Rng(("y",), range(2))
    )
    # noise of sigma_y over the least of the singular values, in each direction
    assert pseudo_inverse(problem, y, shape).abs().max() < 4 * (TAU + sigma_y / 0.03)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_steps": 20}, "at least 21"),
        ({"weight": -1.0}, "weight"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        REDDiff(**settings)
