"""How different the samples of one measurement are, by their distances and by what the operator sees of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.types import Cap, Operator
from bench.metrics.checks import EMPTY, FEWEST_FOR_CLUSTERS, LARGEST_SPLIT, NEIGHBOURS, SPLIT, WIDTH_OF_VENDI
from bench.numerics.distances import RESOLUTION, distances

NOT_LINEAR = "n/a (operator is not linear)"
TOO_LARGE = f"n/a (images of more than {LARGEST_SPLIT} values)"
NO_NULL_SPACE = "n/a (operator has no null space)"


class Linear(Protocol):
    """The part of a problem with a linear operator that is used here."""

    caps: Cap
    operator: Operator


@dataclass(frozen=True)
class Axes:
    """Right singular vectors `(k, D, D)`, one a row, of the operators of k = m measurements or of all alike (k = 1).

    seen: which of them the operator does not send to zero, `(k, D)`.
    """

    vectors: Tensor
    seen: Tensor

    @property
    def why_not(self) -> dict[str, str]:
        """Metrics of a part that is empty."""
        empty = NO_NULL_SPACE if self.seen.all() else ""
        return {metric.id: empty for metric in SPLIT if empty and "_null" in metric.id}

    def variances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Unbiased variance of points `(m, n, D)` in the null space and in its complement, over D, `(m,)` each."""
        squares = ((x - x.mean(1, keepdim=True)) @ self.vectors.mT).square().sum(1) / ((x.shape[1] - 1) * x.shape[2])
        return (squares * ~self.seen).sum(1), (squares * self.seen).sum(1)


def why_no_split(caps: Cap, dimension: int) -> str:
    """The reason why a problem's images are not split, "" where they are."""
    if Cap.LINEAR not in caps:
        return NOT_LINEAR
    return TOO_LARGE if dimension > LARGEST_SPLIT else ""


def axes_of(problem: Linear, y: Tensor, x_shape: tuple[int, ...]) -> Axes:
    """By a singular value decomposition of the operator applied to all unit images, for each measurement `(m, *y)`."""
    size = math.prod(x_shape)
    basis = torch.eye(size, dtype=y.dtype).unflatten(1, x_shape)
    matrices = torch.stack([problem.operator(basis, row.expand(size, *row.shape)).flatten(1).mT for row in y])
    if (matrices == matrices[:1]).all():
        matrices = matrices[:1]
    _, values, vectors = torch.linalg.svd(matrices, full_matrices=True)
    values = functional.pad(values, (0, size - values.shape[1]))  # an operator has no more of them than rows
    return Axes(vectors, values > EMPTY * values[:, :1])


def of_clusters(x: Tensor) -> dict[str, Tensor]:
    """What depends on the number of samples, `(m, s, D)` -> spec id -> `(m,)`; no clusters of too few samples."""
    within, dimension = distances(x, x), x.shape[2]
    clusters = {f"ds{NEIGHBOURS}-pixels": cluster_ratio(within, resolution_of(dimension))}
    return (clusters if x.shape[1] >= FEWEST_FOR_CLUSTERS else {}) | {"vendi": vendi(within, dimension)}


def cluster_ratio(within: Tensor, resolution: float) -> Tensor:
    """Mean distance to those outside the cluster over that to the nearest NEIGHBOURS, `(m, s, s)` -> `(m,)`.

    NaN where neighbours coincide within `resolution`. Needs FEWEST_FOR_CLUSTERS samples.
    """
    ordered = within.sort(-1).values[..., 1:]  # the first is the distance of a sample to itself
    intra, inter = ordered[..., :NEIGHBOURS].mean((1, 2)), ordered[..., NEIGHBOURS:].mean((1, 2))
    return inter / intra.where(intra > resolution, math.nan)


def vendi(within: Tensor, dimension: int) -> Tensor:
    """Vendi score of distances `(m, s, s)` of images of so many values -> `(m,)`, from 1 to s.

    Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410
    """
    kernel = (within.square() / (-2 * dimension * WIDTH_OF_VENDI**2)).exp()
    shares = torch.linalg.eigvalsh(kernel / within.shape[1]).clamp_min(0)
    return torch.special.entr(shares).sum(1).exp()


def over(values: Tensor, exact: Tensor, smallest: float) -> Tensor:
    """values / exact, NaN where the exact posterior has no more than `smallest`, which is rounding noise."""
    return values / exact.where(exact > smallest, math.nan)


def resolution_of(dimension: int) -> float:
    """Distance of two images that are the same within RESOLUTION."""
    return RESOLUTION * math.sqrt(dimension)
