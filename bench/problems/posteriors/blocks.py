"""Condition one factor analyser block by block, where an operator couples only few of its coordinates.

With C = F F^T + diag psi in the basis and N = B^T A^T A B, x = F z + e for z ~ N(0, I) and e ~ N(0, diag psi). Given y
and z, e is Gaussian with covariance S = psi^1/2 W^-1 psi^1/2, W = I + psi^1/2 N psi^1/2 / sigma^2. W has the same
blocks as N, and only these are factorised. A blur does not mix the axes of colour, and a symmetric one does not mix the
even and odd parts along each side, so that the 12,288 coordinates at 64 x 64 x 3 are twelve blocks of 1024. The factors
z, which are few, follow from J = I + F^T H F, where H = psi^-1 S N / sigma^2 is A^T M^-1 A, M = A diag(psi) A^T +
sigma^2 I.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.problems.posteriors.instrument import ROWS_AT_ONCE, Instrument


@dataclass(frozen=True, eq=False)
class Blocks:
    """Component k by Cholesky factors of the blocks of W (in `roots`) and of J (`inner`); pulled: H F, (D, r)."""

    on: Instrument
    k: int
    roots: list[Tensor]
    pulled: Tensor
    inner: Tensor

    @classmethod
    def of(cls, on: Instrument, k: int) -> Blocks:
        scale, factors = on.mixture.psi[k].sqrt(), on.mixture.factors[k]
        roots, pulled, variance = [], torch.empty_like(factors), on.problem.sigma_y**2
        for places, normal in on.blocks:
            around = scale[places, None]
            block = around * normal * around.T / variance
            block.diagonal().add_(1.0)
            roots.append(torch.linalg.cholesky(block))
            seen = around * (normal @ factors[places])
            pulled[places] = torch.cholesky_solve(seen, roots[-1]) / (variance * around)
        inner = factors.T @ pulled
        inner.diagonal().add_(1.0)
        return cls(on, k, roots, pulled, torch.linalg.cholesky(inner))

    @property
    def num_values(self) -> int:
        return sum(root.numel() for root in self.roots) + self.pulled.numel()

    def log_evidence(self, residual: Tensor) -> Tensor:
        variance, projected = self.on.problem.sigma_y**2, self.on.projected(residual)
        squares = residual.flatten(1).square().sum(1)
        log_det = self.inner.diagonal().log().sum()
        for (places, _), root in zip(self.on.blocks, self.roots, strict=True):
            loaded = (self._scale * projected)[:, places].T
            white = torch.linalg.solve_triangular(root, loaded, upper=False)
            squares = squares - white.square().sum(0) / variance
            log_det = log_det + root.diagonal().log().sum()
        common = self._weighed(projected) @ self.on.mixture.factors[self.k]
        white = torch.linalg.solve_triangular(self.inner, common.T, upper=False)
        squares = squares / variance - white.square().sum(0)
        return -squares / 2 - log_det - self.on.num_seen * math.log(variance) / 2

    def shift(self, residual: Tensor) -> Tensor:
        own = self._weighed(self.on.projected(residual))
        common = torch.cholesky_solve((own @ self.on.mixture.factors[self.k]).T, self.inner)
        pull = own - (self.pulled @ common).T
        return self.on.mixture.images(self.on.covered(pull, self.k))

    def variances(self) -> Tensor:
        # the covariance is S + L J^-1 L^T with L = F - S N F / sigma^2
        mixture = self.on.mixture
        left = mixture.factors[self.k] - mixture.psi[self.k][:, None] * self.pulled
        spread = torch.linalg.solve_triangular(self.inner, left.T, upper=False)
        found = mixture.images(spread).square().sum(0)
        for (places, _), root in zip(self.on.blocks, self.roots, strict=True):
            own = torch.linalg.solve_triangular(root, self._scale[places].diag(), upper=False)
            for rows in own.split(ROWS_AT_ONCE):
                u = rows.new_zeros(len(rows), len(self._scale))
                u[:, places] = rows
                found += mixture.images(u).square().sum(0)
        return found

    def _weighed(self, projected: Tensor) -> Tensor:
        """Return the coordinates of A^T M^-1 r, given those of A^T r, (n, D) -> (n, D)."""
        loaded, found = self._scale * projected, torch.empty_like(projected)
        for (places, _), root in zip(self.on.blocks, self.roots, strict=True):
            found[:, places] = torch.cholesky_solve(loaded[:, places].T, root).T
        return found / (self._scale * self.on.problem.sigma_y**2)

    @property
    def _scale(self) -> Tensor:
        return self.on.mixture.psi[self.k].sqrt()
