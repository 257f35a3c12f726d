"""`shapes`: all 9680 images of a procedural family: 4 kinds x 4 brightnesses x 5 sizes x 11 x 11 positions.

Lengths are in half sides of the image, so that the same shapes can be drawn at any resolution. Every shape is symmetric
about its centre, and the centres are symmetric about the image's centre, so that the family contains each image turned
by 180 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.values import is_count, require
from bench.datasets._splits import split

__all__ = ["Shapes"]

BRIGHTNESSES = (0.1, 0.4, 0.7, 1.0)
RADII = (0.24, 0.30, 0.36, 0.42, 0.48)
NUM_CENTRES, CENTRE_STEP = 11, 0.1


@dataclass(frozen=True)
class Shapes:
    """The family, (N, 1, side, side) in [-1, 1], at any resolution."""

    side: int = 16  # pixels along an image, 8 or more

    tiny: ClassVar[Mapping[str, object]] = {"side": 8}  # for tests

    def __post_init__(self) -> None:
        large = is_count(self.side) and self.side >= 8
        require(
            large, f"shapes: side must be a whole number of at least 8 pixels, got {self.side!r}"
        )

    def load(self) -> dict[str, Tensor]:
        """Return the split family, the images' ids, and all images as `atoms`, where an image's id is its index."""
        atoms = render(self.side)
        return {"atoms": atoms, **split("shapes", atoms)}


def render(side: int) -> Tensor:
    """Return every member of the family, (9680, 1, side, side) float32; order: kind, brightness, radius, row, column.

    A pixel's coverage falls from 1 to 0 over the one pixel around the edge; the background is -1.
    """
    pixel = (2 * torch.arange(side, dtype=torch.float64) + 1 - side) / side
    centre = CENTRE_STEP * (torch.arange(NUM_CENTRES) - NUM_CENTRES // 2)
    offset = pixel - centre.double()[:, None]
    v, u = offset[:, None, :, None], offset[None, :, None, :]
    radius = torch.tensor(RADII, dtype=torch.float64)[:, None, None, None, None]
    distance = torch.stack(signed_distances(u, v, radius))
    coverage = (0.5 - distance * side / 2).clamp(0, 1).float()[:, None]
    brightness = torch.tensor(BRIGHTNESSES)[:, None, None, None, None, None]
    return (coverage * (brightness + 1) - 1).reshape(-1, 1, side, side)


def signed_distances(u: Tensor, v: Tensor, radius: Tensor) -> list[Tensor]:
    """Return the distance to the edge, negative inside, of a disc, a square, a ring and a cross around the origin."""
    across, down, centre = u.abs(), v.abs(), torch.hypot(u, v)
    arm = radius / 3
    return [
        centre - radius,
        torch.maximum(across, down) - 0.85 * radius,
        (centre - 0.75 * radius).abs() - 0.25 * radius,
        torch.minimum(
            torch.maximum(across - radius, down - arm),
            torch.maximum(across - arm, down - radius),
        ),
    ]
