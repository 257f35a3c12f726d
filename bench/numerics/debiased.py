"""Squared sliced Wasserstein-2 distance without its bias, in data units or whitened: mean zero for exact draws.

The distance of two finite sets is above zero even when both are exact. The distance that an exact sampler would have is
therefore measured, with a block of as many reference draws in place of the samples, and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.numerics.distances import ascending, directions, wasserstein2_squared

MOST_BLOCKS = 4
# eigenvalues of the covariance below this share of its largest are raised to it before whitening
FLOOR = 1e-3


@dataclass(frozen=True)
class Yardstick:
    """One block of s reference draws taken out of their set: what samples are compared with.

    across: (D, p) or (m, D, p), the directions to project on. rest: sorted projections of the draws without the block,
    (m, p, e - s). own: squared distance of the block to the rest, (m,).
    """

    across: Tensor
    rest: Tensor
    own: Tensor


def yardsticks(draws: Tensor, num_samples: int, is_white: bool) -> tuple[Yardstick, ...]:
    """Return one for each of at most MOST_BLOCKS disjoint blocks of `num_samples` reference draws, (m, e, D).

    The result is () where the draws are fewer than two blocks. is_white: in coordinates whitened by the covariance of
    the rest. The covariance of all draws would depend on the block, but not on the samples, which are compared alike.
    """
    num_blocks = min(draws.shape[1] // num_samples, MOST_BLOCKS)
    if num_blocks < 2:
        return ()
    fixed = directions(draws.shape[2]).to(draws)
    across, along, made = fixed, draws @ fixed, []
    for i in range(num_blocks):
        is_block = torch.zeros(draws.shape[1], dtype=torch.bool)
        is_block[i * num_samples : (i + 1) * num_samples] = True
        if is_white:
            across = whitened(draws[:, ~is_block], fixed)
            along = draws @ across
        rest = ascending(along[:, ~is_block].mT)
        own = wasserstein2_squared(ascending(along[:, is_block].mT), rest).mean(1)
        made.append(Yardstick(across, rest, own))
    return tuple(made)


def debiased_square(x: Tensor, made: tuple[Yardstick, ...], along: Tensor | None = None) -> Tensor:
    """Return the debiased squared sliced Wasserstein-2 distance of samples (m, s, D) -> (m,).

    along: `projected(x)`, where it is known and nothing is whitened.

    This is the mean of SW2^2(x, R without B) - SW2^2(B, R without B) over blocks B of s draws among the reference draws
    R. For an exact sampler, samples and B are exchangeable whatever the law, so the expectation is zero.
    """
    squares = []
    for one in made:
        of_x = ascending((x @ one.across).mT) if along is None else along
        squares.append(wasserstein2_squared(of_x, one.rest).mean(1) - one.own)
    return torch.stack(squares).mean(0)


def whitened(draws: Tensor, fixed: Tensor) -> Tensor:
    """Return S^(-1/2) @ fixed, (m, D, p), for the covariance S of draws (m, e, D) with its eigenvalues floored.

    The symmetric root is the same on every machine, also where eigenvalues coincide.
    """
    centred = (draws - draws.mean(1, keepdim=True)) / (draws.shape[1] - 1) ** 0.5
    if draws.shape[2] <= draws.shape[1]:  # ten times faster than the singular values
        squares, columns = torch.linalg.eigh(centred.mT @ centred)
        values, vectors = squares.clamp_min(0).sqrt(), columns.mT
    else:
        _, values, vectors = torch.linalg.svd(centred, full_matrices=False)
    floor = FLOOR**0.5 * values.amax(1, keepdim=True)
    # directions without any component of a draw are scaled by the floor
    scales = 1 / values.maximum(floor) - 1 / floor
    return fixed / floor[..., None] + vectors.mT @ (scales[..., None] * (vectors @ fixed))
