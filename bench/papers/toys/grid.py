"""Quadrature: a density on the cells of a square grid, draws from it, and its image under a map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.types import Random


@dataclass(frozen=True)
class Grid:
    """`side` x `side` equal cells over the square `centre` + [-half, half]^2; values are (side, side), rows along y."""

    half: float
    side: int
    centre: tuple[float, float] = (0.0, 0.0)

    @property
    def width(self) -> float:
        """Return the width of a cell."""
        return 2 * self.half / self.side

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Return left, right, bottom and top."""
        (x, y), h = self.centre, self.half
        return x - h, x + h, y - h, y + h

    @property
    def points(self) -> Tensor:
        """Return the centres of the cells, (side^2, 2), x fastest."""
        ticks = (torch.arange(self.side, dtype=torch.float64) + 0.5) * self.width - self.half
        y, x = torch.meshgrid(ticks + self.centre[1], ticks + self.centre[0], indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], 1)

    def normalised(self, log_density: Tensor) -> tuple[Tensor, float]:
        """Return probabilities of the cells (side, side) and log of the integral of densities (side^2,) at `points`."""
        total = log_density.logsumexp(0)
        return (log_density - total).exp().view(self.side, self.side), total.item() + 2 * math.log(
            self.width
        )

    def draw(self, probability: Tensor, num_samples: int, rng: Random) -> Tensor:
        """Draw points (num_samples, 2): a cell by its probability, uniform within it."""
        uniform = rng.rand((num_samples, 3))[0]
        cells = torch.searchsorted(
            probability.flatten().cumsum(0), uniform[:, 0].contiguous() * probability.sum()
        )
        return self.points[cells.clamp_max(self.side**2 - 1)] + (uniform[:, 1:] - 0.5) * self.width

    def histogram(self, points: Tensor, weights: Tensor, blur: float = 1.5) -> Tensor:
        """Return the density (side, side) of points (n, 2) with weights (n,), blurred by a Gaussian of `blur` cells.

        For drawings. It integrates to the weights of the points inside.
        """
        place = (points - points.new_tensor(self.centre) + self.half) / self.width
        inside = ((place >= 0) & (place < self.side)).all(1)
        column, row = place[inside].long().unbind(1)
        counts = torch.zeros(self.side**2, dtype=weights.dtype).index_add_(
            0, row * self.side + column, weights[inside]
        )
        density = counts.view(self.side, self.side) / self.width**2
        return density if blur == 0 else blurred(density, blur)

    def diffused(self, probability: Tensor, signal: float, scale: float = 1.0) -> Tensor:
        """Return the density (side, side) of sqrt(signal) x + sqrt(1 - signal) scale noise, x from the grid."""
        std = max(scale * math.sqrt(1 - signal), self.width / 2)  # a point is known up to its cell

        def kernel(ticks: Tensor) -> Tensor:
            return gaussian(ticks[:, None] - math.sqrt(signal) * ticks[None, :], std)

        return (
            kernel(self.points[:: self.side, 1])
            @ probability
            @ kernel(self.points[: self.side, 0]).T
        )


def gaussian(offset: Tensor, std: float) -> Tensor:
    """Return the density of N(0, std^2)."""
    return (-(offset**2) / (2 * std**2)).exp() / (std * math.sqrt(2 * math.pi))


def blurred(density: Tensor, std: float) -> Tensor:
    """Return a density (side, side) blurred by a Gaussian of `std` cells, zero beyond the border.

    scipy.ndimage cannot replace it: its kernel is cut off and sums to one, so that no mass leaves across the border.
    """
    cells = torch.arange(len(density), dtype=density.dtype)
    kernel = gaussian(cells[:, None] - cells[None, :], std)
    return kernel @ density @ kernel.T


def relative_entropy(probability: Tensor, log_reference: Tensor, width: float) -> float:
    """Return the KL in nats of a grid's cells (side, side) from a density with logarithm (side^2,) at their centres."""
    p = probability.flatten()
    seen = p > 0
    return (p[seen] * (p[seen].log() - 2 * math.log(width) - log_reference[seen])).sum().item()
