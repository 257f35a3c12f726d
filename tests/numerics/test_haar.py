"""Haar transform: orthonormal, its own inverse by `merge`, coarse images that are means of blocks."""

from __future__ import annotations

import pytest
import torch

from bench.core.rng import Rng
from bench.numerics import haar


def images(n: int, *shape: int) -> torch.Tensor:
    return Rng(("test", "haar"), range(n)).randn(shape)


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 4, 6)])
def test_merging_undoes_splitting_and_lengths_stay(shape):
    x = images(3, *shape)
    coarse, details = haar.split(x)
    torch.testing.assert_close(haar.merge(coarse, details), x, rtol=0, atol=1e-14)
    length = coarse.square().flatten(1).sum(1) + details.square().flatten(1).sum(1)
    torch.testing.assert_close(length, x.square().flatten(1).sum(1))


def test_the_coarse_image_is_twice_the_mean_of_blocks():
    x = images(2, 3, 4, 4)
    pooled = torch.nn.functional.avg_pool2d(x, 2)
    torch.testing.assert_close(haar.split(x)[0], 2 * pooled)


def test_details_are_grouped_by_direction_and_then_by_channel():
    stripes = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    stripes[0, 1] = torch.tensor([[1.0, -1.0], [1.0, -1.0]])  # changes from column to column
    assert haar.split(stripes)[1].flatten().tolist() == [0, 2, 0, 0, 0, 0]


def test_levels_start_with_the_coarsest():
    parts = haar.levels(images(1, 1, 8, 8), 3)
    assert [part[0].shape[-1] for part in parts] == [1, 2, 4]


@pytest.mark.parametrize(
    ("side", "shape", "expected"), [(8, (1, 4, 4), 1), (8, (3, 16, 16), 1), (8, (3, 32, 64), 3)]
)
def test_images_are_halved_until_no_side_is_too_long(side, shape, expected):
    assert haar.halvings_to(side, shape) == expected


def test_odd_sides_are_refused_with_a_message():
    with pytest.raises(ValueError, match="30 x 30 pixels cannot be halved 2 times"):
        haar.halvings_to(8, (1, 30, 30))
