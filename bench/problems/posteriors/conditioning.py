"""Condition one factor analyser on a measurement by a linear operator, through a factorisation as small as possible.

A factor analyser N(mu, C), C = B (F F^T + diag psi) B^T in an orthonormal basis B, is measured as y = A x + sigma n.

`Gram` factorises A C A^T + sigma^2 I, with a row for each measured value. `bench.problems.posteriors.blocks` is for
operators that do not couple groups of coordinates, as a blur does not couple colours. `Hidden` is for a mask: the
inverse of S = C + sigma^2 I follows from Woodbury's formula, and that of its block of measured pixels from the block of
hidden ones, T = (S^-1)_hh: with r the residual of the measured pixels and r_h = -T^-1 (S^-1 r)_h in the hidden ones,
S^-1 r is A^T (A C A^T + sigma^2 I)^-1 (y - A mu). So only T is factorised, which has a row for each hidden pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bench.problems.posteriors.instrument import ROWS_AT_ONCE, Instrument


class Conditioned(Protocol):
    """One component given an operator, whatever the measured values are. Residuals (n, *clean) are 0 where hidden."""

    @property
    def num_values(self) -> int: ...  # in memory
    # log N(residual; 0, A C A^T + sigma^2 I) without its 2 pi, (n,)
    def log_evidence(self, residual: Tensor) -> Tensor: ...
    # mean of the posterior beyond that of the component, (n, *x)
    def shift(self, residual: Tensor) -> Tensor: ...
    # of the posterior, pixel by pixel (*x)
    def variances(self) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Gram:
    """Component k by the Cholesky factor of A C A^T + sigma^2 I."""

    on: Instrument
    k: int
    root: Tensor

    @classmethod
    def of(cls, on: Instrument, k: int) -> Gram:
        images = (on.mixture.images(on.covered(rows, k)) for rows in on.rows.split(ROWS_AT_ONCE))
        gram = torch.cat([on.measured(part) for part in images])
        gram.diagonal().add_(on.problem.sigma_y**2)
        return cls(on, k, torch.linalg.cholesky(gram))

    @property
    def num_values(self) -> int:
        return self.root.numel()

    def log_evidence(self, residual: Tensor) -> Tensor:
        kept = residual.flatten(1)[:, self.on.seen]
        white = torch.linalg.solve_triangular(self.root, kept.T, upper=False)
        return -white.square().sum(0) / 2 - self.root.diagonal().log().sum()

    def shift(self, residual: Tensor) -> Tensor:
        kept = residual.flatten(1)[:, self.on.seen]
        pull = self.on.spread(torch.cholesky_solve(kept.T, self.root).T)
        covered = self.on.covered(self.on.mixture.coordinates(pull), self.k)
        return self.on.mixture.images(covered)

    def variances(self) -> Tensor:
        on, mixture = self.on, self.on.mixture
        covered = mixture.images(on.covered(on.rows, self.k)).flatten(1)  # A C
        known = torch.linalg.solve_triangular(self.root, covered, upper=False).square().sum(0)
        own = mixture.diagonals(mixture.psi[self.k][None])[0]
        own += mixture.images(mixture.factors[self.k].T).square().sum(0)
        return own - known.unflatten(0, mixture.shape)


class Inverse(NamedTuple):
    """The inverse of S = C + sigma^2 I in the basis, diag(precision) - G G^T with loadings G (D, r); log det S."""

    precision: Tensor
    loadings: Tensor
    log_det: Tensor

    @classmethod
    def of(cls, factors: Tensor, psi: Tensor, variance: float) -> Inverse:
        precision = 1 / (psi + variance)
        weighted = precision[:, None] * factors
        inner = factors.T @ weighted
        inner.diagonal().add_(1.0)
        root = torch.linalg.cholesky(inner)
        loadings = torch.linalg.solve_triangular(root, weighted.T, upper=False).T
        return cls(precision, loadings, 2 * root.diagonal().log().sum() - precision.log().sum())

    def times(self, u: Tensor) -> Tensor:
        """Return S^-1 u in coordinates, (n, D) -> (n, D)."""
        return u * self.precision - (u @ self.loadings) @ self.loadings.T


@dataclass(frozen=True, eq=False)
class Hidden:
    """A component under a mask, by the Cholesky factor of T, the block of hidden pixels of S^-1."""

    on: Instrument
    inverse: Inverse
    root: Tensor

    @classmethod
    def of(cls, on: Instrument, k: int) -> Hidden:
        variance = on.problem.sigma_y**2
        inverse = Inverse.of(on.mixture.factors[k], on.mixture.psi[k], variance)
        parts = (on.mixture.images(inverse.times(r)) for r in on.rows.split(ROWS_AT_ONCE))
        block = torch.cat([part.flatten(1)[:, ~on.seen] for part in parts])
        return cls(on, inverse, torch.linalg.cholesky(block))

    @property
    def num_values(self) -> int:
        return self.root.numel() + self.inverse.loadings.numel()

    def log_evidence(self, residual: Tensor) -> Tensor:
        pull = self._pull(residual)
        hidden = pull.flatten(1)[:, ~self.on.seen]
        white = torch.linalg.solve_triangular(self.root, hidden.T, upper=False)
        squares = (residual * pull).flatten(1).sum(1) - white.square().sum(0)
        # the block of measured pixels has the determinant det S det T
        return -(squares + self.inverse.log_det) / 2 - self.root.diagonal().log().sum()

    def shift(self, residual: Tensor) -> Tensor:
        hidden = ~self.on.seen
        full = residual.flatten(1).clone()
        pull = self._pull(residual).flatten(1)[:, hidden]
        full[:, hidden] = -torch.cholesky_solve(pull.T, self.root).T
        full = full.view_as(residual)
        return full - self.on.problem.sigma_y**2 * self._pull(full)  # C S^-1 = I - sigma^2 S^-1

    def variances(self) -> Tensor:
        # the covariance is sigma^2 I - sigma^4 S^-1 + R T^-1 R^T, R the hidden columns of I - sigma^2 S^-1
        mixture, variance = self.on.mixture, self.on.problem.sigma_y**2
        inverse = mixture.diagonals(self.inverse.precision[None])[0]
        inverse -= mixture.images(self.inverse.loadings.T).square().sum(0)
        columns = mixture.images(self.on.rows - variance * self.inverse.times(self.on.rows))
        spread = torch.linalg.solve_triangular(self.root, columns.flatten(1), upper=False)
        of_hidden = spread.square().sum(0).unflatten(0, mixture.shape)
        return variance - variance**2 * inverse + of_hidden

    def _pull(self, residual: Tensor) -> Tensor:
        mixture = self.on.mixture
        return mixture.images(self.inverse.times(mixture.coordinates(residual)))
