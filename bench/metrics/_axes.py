"""What a linear operator sees of an image and what not, found in the blocks of values that it mixes with each other.

A mask mixes nothing, pooling the pixels of a block, a blur those of a channel: the singular vectors of small blocks are
found quickly, and blocks that are alike share them, where those of the whole matrix would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.core.metric import Likelihood
from bench.core.rng import stream

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LARGEST = (
    1024  # values that are mixed with each other: a singular value decomposition takes a second
)
EMPTY = 1e-6  # singular values below this share of the largest are zero
ROUNDING = 1e-12  # entries of a matrix below this share of the largest are zero
VALUES_AT_ONCE = 2**22  # of unit images that go through an operator


@dataclass(frozen=True)
class Block:
    """Sets of values of an image that an operator treats alike, each apart from all others.

    positions: (k, b), of k sets of b values. values: singular values (r,), the largest first. vectors: right singular
    vectors (r, b), one a row; r < b where the operator has fewer outputs, and the rest of the vectors is in its null
    space.
    """

    positions: Tensor
    values: Tensor
    vectors: Tensor

    def energies(self, x: Tensor, threshold: float) -> Tensor:
        """Return the sums of squares of points (n, D) in null space and range of these values, (2,)."""
        parts, is_seen = x[:, self.positions], self.values > threshold
        total, width = parts.square().sum(), self.positions.shape[1]
        num_seen = int(is_seen.sum())
        if num_seen in (0, width):
            return torch.stack([total * (num_seen == 0), total * (num_seen > 0)])
        by_null = len(self.vectors) == width and 2 * num_seen > width  # the smaller product
        part = (parts @ self.vectors[is_seen ^ by_null].mT).square().sum()
        rest = (total - part).clamp_min(0)
        return torch.stack([part, rest] if by_null else [rest, part])


@dataclass(frozen=True)
class Axes:
    """The blocks of an operator on images."""

    blocks: tuple[Block, ...]

    @property
    def threshold(self) -> float:
        """The singular value up to which the operator counts as blind."""
        return EMPTY * max(block.values.max().item() for block in self.blocks)

    @property
    def num_seen(self) -> int:
        """The dimension of the complement of the null space."""
        seen = (
            len(block.positions) * (block.values > self.threshold).sum() for block in self.blocks
        )
        return int(sum(seen))

    def variances(self, x: Tensor) -> Tensor:
        """Return the variance over D of points (n, D) in the null space and in its complement, (2,)."""
        centred, threshold = x - x.mean(0), self.threshold
        energies = [block.energies(centred, threshold) for block in self.blocks]
        return torch.stack(energies).sum(0) / ((x.shape[0] - 1) * x.shape[1])


def axes_of(
    problem: Likelihood,
    y: Tensor,
    x_shape: tuple[int, ...],
    once: Callable[[Hashable, Callable[[], Axes | None]], Axes | None] = lambda key, make: make(),
) -> list[Axes | None]:
    """Return the axes of the operator of each measurement (m, *y); None where it mixes more than LARGEST values.

    once: keeps what was made for a key, so that equal operators are taken apart once.
    """
    probe = torch.from_numpy(stream("null-space", math.prod(x_shape)).standard_normal(x_shape))
    answers = problem.operator(probe.to(y).expand(len(y), *x_shape), y).flatten(1)
    keys = (1e9 * answers).round().numpy()  # equal for equal operators
    return [
        once(("axes", key.tobytes()), lambda row=row: _axes(_matrix(problem, row, x_shape)))
        for key, row in zip(keys, y, strict=True)
    ]


def _matrix(problem: Likelihood, row: Tensor, x_shape: tuple[int, ...]) -> csr_array:
    """Return the transposed operator of one measurement, (D, values of y), by its answers to all unit images."""
    import scipy.sparse

    size, parts = math.prod(x_shape), []
    for positions in torch.arange(size).split(max(1, VALUES_AT_ONCE // size)):
        units = torch.zeros(len(positions), size, dtype=row.dtype)
        units[range(len(positions)), positions] = 1
        rows = row.expand(len(positions), *row.shape)
        answers = problem.operator(units.unflatten(1, x_shape), rows).flatten(1)
        rounding = ROUNDING * answers.abs().max()
        parts.append(scipy.sparse.csr_array(answers.masked_fill(answers.abs() <= rounding, 0)))
    return scipy.sparse.csr_array(scipy.sparse.vstack(parts))


def _axes(matrix: csr_array) -> Axes | None:
    """Return the blocks of a transposed operator (D, values of y); None where one has more than LARGEST values."""
    import numpy as np
    from scipy.sparse import block_array
    from scipy.sparse.csgraph import connected_components

    size = matrix.shape[0]
    _, of_graph = connected_components(block_array([[None, matrix], [matrix.T, None]]))
    labels = torch.from_numpy(of_graph[:size]).long()
    order, sizes = labels.argsort(stable=True), labels.unique(return_counts=True)[1]
    if sizes.max() > LARGEST:
        return None
    sets = order.split(sizes.tolist())
    alone = torch.cat([x for x in sets if len(x) == 1] or [order[:0]])
    alike: dict[bytes, list[Tensor]] = {}
    kept: dict[bytes, Tensor] = {}
    for positions in (x for x in sets if len(x) > 1):
        rows = matrix[positions.numpy()]
        part = torch.from_numpy(rows[:, np.unique(rows.indices)].toarray())
        key = part.numpy().tobytes()
        alike.setdefault(key, []).append(positions)
        kept[key] = part
    mixed = (_block(torch.stack(sets), kept[key]) for key, sets in alike.items())
    return Axes((*_single(alone, matrix), *mixed))


def _single(positions: Tensor, matrix: csr_array) -> Iterator[Block]:
    """Yield the blocks of values that are mixed with no other, by their singular value."""
    lengths = torch.from_numpy((matrix[positions.numpy()] ** 2).sum(1)).sqrt()
    for value in lengths.unique():
        yield Block(positions[lengths == value][:, None], value[None], torch.ones(1, 1).to(value))


def _block(positions: Tensor, part: Tensor) -> Block:
    """Return a block from its positions (k, b) and the transposed operator on it (b, outputs)."""
    vectors, values, _ = torch.linalg.svd(part, full_matrices=False)
    return Block(positions, values, vectors.mT)
