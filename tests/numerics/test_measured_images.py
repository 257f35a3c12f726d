"""Measurements as images have the image's size, for any size of the measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.measured_images import (
    channel_moments,
    measured_images,
    num_channels,
    standardised,
)
from bench.problems import make_problem

SHAPE = (3, 8, 8)


@dataclass(frozen=True)
class Labels:
    """A problem without gradient, whose measurements are vectors."""

    caps: ClassVar[Cap] = Cap.SIMULATE


@pytest.mark.parametrize(
    ("operator", "parameters", "channels"),
    [("inpaint-box", {"box": 4}, 9), ("average-pool", {"factor": 4}, 6), ("denoise", {}, 6)],
)
def test_pull_towards_y_comes_first_and_y_itself_after_it(operator, parameters, channels):
    problem, rng = make_problem(operator, parameters, 0.1, SHAPE), Rng(("test", "y"), range(2))
    y = problem.simulate(rng.randn(SHAPE), rng)
    centre = 0.1 * torch.ones(SHAPE)
    images = measured_images(problem, y, centre)
    assert images.shape == (2, channels, 8, 8) and num_channels(problem, y, SHAPE) == channels
    residual = problem.residual(centre.double().expand(2, *SHAPE), y)
    expected = problem.operator.adjoint(residual, y) / problem.sigma_y**2
    torch.testing.assert_close(images[:, :3], expected)
    if operator == "average-pool":
        torch.testing.assert_close(images[:, 3:, ::4, ::4], y)


def test_vectors_fill_channels():
    y = torch.tensor([[1.0, 2.0]])
    images = measured_images(Labels(), y, torch.zeros(SHAPE))
    assert num_channels(Labels(), y, SHAPE) == 2
    assert torch.equal(images, y[:, :, None, None].expand(1, 2, 8, 8))


def test_channels_that_never_vary_stay_finite():
    images = torch.stack([torch.full((4, 2, 2), 3.0), torch.arange(16.0).view(4, 2, 2)], 1)
    seen = standardised(images, *channel_moments(images))
    assert not seen[:, 0].any() and abs(float(seen[:, 1].std()) - 1) < 1e-6
