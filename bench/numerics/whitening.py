"""Whitened coordinates of images, by the covariance of draws of a prior."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 1e-8  # variance of a direction, over the largest


class Whitening(NamedTuple):
    """The map x = T u, T symmetric, with scales `units` (m, r) along orthonormal `directions` (m, d, r).

    rest (m, 1): the scale of all other directions.
    Each of the m measurements has its own T, for n / m consecutive rows of x and u, flat (n, d).
    """

    directions: Tensor
    units: Tensor
    rest: Tensor

    @classmethod
    def of(cls, draws: Tensor) -> Whitening:
        """Return the whitening by draws (m, n, d), n >= 2: scales are standard deviations along principal directions.

        There are half as many directions as draws, since deviations along weaker ones are hardly known; the scale
        across them is the root mean square of what is left.
        """
        num, size = draws.shape[1:]
        rank = max(1, min(num // 2, size - 1))
        centred = draws - draws.mean(1, keepdim=True)
        # the products of draws have the eigenvalues of the covariance, and are fewer than those of pixels
        values, vectors = torch.linalg.eigh(centred @ centred.mT / (num - 1))
        smallest = SMALLEST * values.amax(1, keepdim=True).clamp_min(1e-12)
        values, vectors = values[:, -rank:].maximum(smallest), vectors[..., -rank:]
        directions = centred.mT @ vectors / (values * (num - 1)).sqrt()[:, None]
        left = centred.square().sum((1, 2)) / (num - 1) - values.sum(1)
        rest = (left[:, None] / (size - rank)).maximum(smallest).sqrt()
        return cls(directions, values.sqrt(), rest)

    def images(self, u: Tensor) -> Tensor:
        """Return x (n, d) of u (n, d)."""
        return self._scaled(u, self.units, self.rest)

    def coordinates(self, x: Tensor) -> Tensor:
        """Return u (n, d) of x (n, d)."""
        return self._scaled(x, 1 / self.units, 1 / self.rest)

    def _scaled(self, rows: Tensor, along: Tensor, across: Tensor) -> Tensor:
        each = rows.unflatten(0, (len(along), -1))
        seen = (each @ self.directions) * (along - across)[:, None]
        return (across[:, None] * each + seen @ self.directions.mT).flatten(0, 1)
