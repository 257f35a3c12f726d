"""Whitened coordinates against the covariance of the draws from which they are computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.numerics.whitening import Whitening


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("num_draws", [2, 6, 40])
def test_coordinates_and_images_are_inverse_to_each_other(num_draws):
    white = Whitening.of(normal(3, num_draws, 10))
    x = normal(12, 10, seed=1)
    # units differ by a factor of 1e4 at most, and so do rounding errors
    torch.testing.assert_close(white.images(white.coordinates(x)), x, rtol=0, atol=1e-10)


def test_many_draws_become_white_along_their_strong_directions():
    """Nine of ten directions get their own deviation; the weakest one is all that is left."""
    draws = normal(2, 400, 10) @ normal(2, 10, 10, seed=1)
    white = Whitening.of(draws)
    u = white.coordinates(draws.flatten(0, 1)).unflatten(0, (2, 400))
    for rows in u:
        torch.testing.assert_close(rows.T.cov(), torch.eye(10).double(), rtol=0, atol=1e-10)


def test_few_draws_leave_the_root_mean_square_across_their_directions():
    draws = torch.diag_embed(torch.tensor([5.0, 4.0, 0.2, 0.1])).double()[None].repeat(1, 2, 1)
    draws[:, 4:] *= -1  # eight draws along four axes, with mean zero
    white = Whitening.of(torch.nn.functional.pad(draws, (0, 4)))
    variances = torch.tensor([25.0, 16.0, 0.04, 0.01]).double() * 2 / 7
    torch.testing.assert_close(white.units[0].square().sort(descending=True).values, variances)
    # no direction of these four is left, and the others have no spread: the smallest unit there is
    assert white.rest.item() == pytest.approx(1e-4 * variances[0].item() ** 0.5)


def test_measurements_do_not_interact():
    draws, x = normal(3, 20, 6), normal(12, 6, seed=1)
    together = Whitening.of(draws).images(x)
    for i in range(3):
        alone = Whitening.of(draws[i : i + 1]).images(x[4 * i : 4 * i + 4])
        torch.testing.assert_close(together[4 * i : 4 * i + 4], alone, rtol=0, atol=1e-12)
