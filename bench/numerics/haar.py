"""The orthonormal Haar transform of images (n, c, h, w): coarser images, and the details that they leave out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# half the sum of the four pixels of a block, and their differences along columns, rows and both; its own inverse
BLOCK = [
    [0.5, 0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5, -0.5],
    [0.5, 0.5, -0.5, -0.5],
    [0.5, -0.5, -0.5, 0.5],
]


def split(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return a coarse image (n, c, h / 2, w / 2), twice the mean of each block, and details (n, 3 c, h / 2, w / 2)."""
    blocks = functional.pixel_unshuffle(image, 2).unflatten(1, (-1, 4))
    coefficients = torch.einsum("kj,ncjhw->nkchw", image.new_tensor(BLOCK), blocks)
    return coefficients[:, 0], coefficients[:, 1:].flatten(1, 2)


def merge(coarse: Tensor, details: Tensor) -> Tensor:
    """Undo `split`."""
    coefficients = torch.cat([coarse[:, None], details.unflatten(1, (3, -1))], 1)
    blocks = torch.einsum("kj,nkchw->ncjhw", coarse.new_tensor(BLOCK), coefficients)
    return functional.pixel_shuffle(blocks.flatten(1, 2), 2)


def levels(image: Tensor, num_halvings: int) -> list[tuple[Tensor, Tensor]]:
    """Split `num_halvings` times; return coarse image and details of each, the coarsest first."""
    parts: list[tuple[Tensor, Tensor]] = []
    for _ in range(num_halvings):
        parts.append(split(image))
        image = parts[-1][0]
    return parts[::-1]


def halvings_to(side: int, shape: Sequence[int]) -> int:
    """Return how often images (c, h, w) are halved until no side is longer than `side`, at least once.

    Raises ValueError where that meets an odd number of pixels.
    """
    height, width = shape[-2:]
    num_halvings = 1
    while max(height, width) > side * 2**num_halvings:
        num_halvings += 1
    if height % 2**num_halvings or width % 2**num_halvings:
        raise ValueError(
            f"images of {height} x {width} pixels cannot be halved {num_halvings} times, to at most {side} a side; "
            f"crop them to multiples of {2**num_halvings}"
        )
    return num_halvings
