"""A procedural family that can be listed: 4 kinds x 4 brightnesses x 5 sizes x 11 x 11 positions = 9680 images.

Lengths are in half sides of the image, so the same latents are drawn at any resolution. Every shape is symmetric about
its centre and the centres are symmetric about the image's, so each image turned by 180 degrees is in the family too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.datasets.splits import split

BRIGHTNESSES = (0.1, 0.4, 0.7, 1.0)
RADII = (0.24, 0.30, 0.36, 0.42, 0.48)
NUM_CENTRES, CENTRE_STEP = 11, 0.1


def load(side: int = 16) -> dict[str, Tensor]:
    """The split family and all of it as `atoms`, (N, 1, side, side) in [-1, 1]."""
    if not isinstance(side, int) or side < 8:
        raise ValueError(f"side: expected an integer of at least 8 pixels, got {side!r}")
    atoms = draw(side)
    return {"atoms": atoms, **split("shapes", atoms)}


def draw(side: int) -> Tensor:
    """Every member of the family, (9680, 1, side, side) float32; order: kind, brightness, radius, row, column.

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
    """Distance to the edge, negative inside, of a disc, a square, a ring and a cross around the origin."""
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
