"""Condition one factor analyser on what a linear operator measured, by whichever of two factorisations is smaller.

A factor analyser N(mu, C), C = B (F F^T + diag psi) B^T in an orthonormal basis B, is measured as y = A x + sigma n.

`Gram` factorises A C A^T + sigma^2 I, of the size of what was measured. `Hidden` is for a mask: the inverse of
S = C + sigma^2 I is known by Woodbury, and the inverse of its block of measured pixels follows from the block of hidden
ones, T = (S^-1)_hh: with r the residual of the measured pixels and r_h = -T^-1 (S^-1 r)_h in the hidden ones, S^-1 r is
A^T (A C A^T + sigma^2 I)^-1 (y - A mu). So T is all that is factorised, and it has the size of what was hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Problem, Random

ROWS_AT_ONCE = 1024


@runtime_checkable
class FactorMixture(Protocol):
    """A mixture of factor analysers: weights (K,), and centres (K, D), factors (K, D, r), psi (K, D) in a basis."""

    @property
    def weights(self) -> Tensor: ...
    @property
    def centres(self) -> Tensor: ...
    @property
    def factors(self) -> Tensor: ...
    @property
    def psi(self) -> Tensor: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def to(self, like: Tensor) -> FactorMixture: ...  # with its dtype, on its device
    def coordinates(self, x: Tensor) -> Tensor: ...  # (n, *x) -> (n, D)
    def images(self, u: Tensor) -> Tensor: ...  # (n, D) -> (n, *x)
    # the diagonal of B diag(values) B^T, (n, D) -> (n, *x)
    def diagonals(self, values: Tensor) -> Tensor: ...
    def sample(self, num_samples: int, rng: Random) -> Tensor: ...  # (m, num_samples, *x)
    def log_joint(self, x: Tensor) -> Tensor: ...  # (n, *x) -> (n, K)
    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]: ...  # (n,), (n, *x)


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
class Instrument:
    """What measurements with the same operator and mask share.

    y (1, *y): one of them; seen (P,): which of the values are measured; is_mask: the operator is the product with its
    mask.
    """

    mixture: FactorMixture
    problem: Problem
    y: Tensor
    seen: Tensor
    is_mask: bool

    @classmethod
    def of(cls, mixture: FactorMixture, problem: Problem, y: Tensor) -> Instrument:
        """Return the instrument of a measurement y (1, *y).

        A linear map that multiplies one image of random pixels by the mask does so to all images, but for a set of
        random numbers of measure zero.
        """
        operator = problem.operator
        random = torch.rand((1, *mixture.shape), generator=torch.Generator().manual_seed(0))
        x = random.to(y)
        found = operator(x, y)
        mask = mask_of(y) if operator.masked else torch.ones_like(found)
        is_mask = found.shape == x.shape and torch.equal(found, mask * x)
        return cls(mixture, problem, y, mask.flatten() != 0, is_mask)

    @property
    def hides_less(self) -> bool:
        """Whether it is a mask that hides at most as many pixels as it shows."""
        return self.is_mask and 2 * int(self.seen.sum()) >= len(self.seen)

    @property
    def size(self) -> int:
        """Return the rows of the matrix that is factorised for each component."""
        num_seen = int(self.seen.sum())
        return len(self.seen) - num_seen if self.hides_less else num_seen

    def condition(self, k: int) -> Conditioned:
        """Return component k under this instrument."""
        return (Hidden if self.hides_less else Gram).of(self, k)

    def covered(self, u: Tensor, k: int) -> Tensor:
        """Return C u of component k in coordinates, (n, D) -> (n, D)."""
        factors = self.mixture.factors[k]
        return u * self.mixture.psi[k] + (u @ factors) @ factors.T

    def measured(self, x: Tensor) -> Tensor:
        """Return the measured values of A x, (n, *x) -> (n, number of them)."""
        y = self.y.expand(len(x), *self.y.shape[1:])
        return self.problem.operator(x, y).flatten(1)[:, self.seen]

    def spread(self, values: Tensor) -> Tensor:
        """Return A^T of measured values, (n, number of them) -> (n, *x)."""
        full = values.new_zeros(len(values), len(self.seen))
        full[:, self.seen] = values
        clean = self.problem.operator.measured_shape(self.mixture.shape)
        y = self.y.expand(len(values), *self.y.shape[1:])
        return self.problem.operator.adjoint(full.unflatten(1, clean), y)

    @cached_property
    def rows(self) -> Tensor:
        """Return coordinates of what the factorised matrix is of, rows of A or hidden pixels, (size, D)."""
        if self.hides_less:
            units = _units((~self.seen).nonzero()[:, 0], len(self.seen), self.y)
            units = (part.unflatten(1, self.mixture.shape) for part in units)
        else:
            units = map(self.spread, _units(torch.arange(self.size), self.size, self.y))
        parts = [self.mixture.coordinates(part) for part in units]
        return torch.cat(parts) if parts else self.y.new_zeros(0, len(self.seen))


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


def _units(places: Tensor, length: int, like: Tensor) -> Iterator[Tensor]:
    """Yield vectors of that length that are 1 at one of the places and 0 elsewhere, some at a time."""
    for part in places.to(like.device).split(ROWS_AT_ONCE):
        rows = like.new_zeros(len(part), length)
        yield rows.scatter_(1, part[:, None], 1.0)
