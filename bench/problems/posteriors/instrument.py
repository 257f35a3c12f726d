"""What measurements with the same operator and mask share when mixtures of factor analysers are conditioned on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Problem, Random

ROWS_AT_ONCE = 1024
UNCOUPLED = 1e-12  # as a share of the largest coupling: less is the rounding of zero


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
    # (D,) numbers from 0, of groups that an operator may leave uncoupled, such as colours, or even and odd parts
    @property
    def groups(self) -> Tensor: ...
    # the diagonal of B diag(values) B^T, (n, D) -> (n, *x)
    def diagonals(self, values: Tensor) -> Tensor: ...
    def sample(self, num_samples: int, rng: Random) -> Tensor: ...  # (m, num_samples, *x)
    def log_joint(self, x: Tensor) -> Tensor: ...  # (n, *x) -> (n, K)
    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]: ...  # (n,), (n, *x)


class Block(NamedTuple):
    """Coordinates that the operator couples with no others: places (n,), and their block of B^T A^T A B (n, n)."""

    places: Tensor
    normal: Tensor


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

        A linear map that multiplies one image of random pixels by the mask does so with all images, with probability
        one over the random numbers.
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
        """Return whether it is a mask that hides at most as many pixels as it shows."""
        return self.is_mask and 2 * self.num_seen >= len(self.seen)

    @cached_property
    def num_seen(self) -> int:
        """Return how many values are measured."""
        return int(self.seen.sum())

    @cached_property
    def way(self) -> Literal["hidden", "gram", "blocks"]:
        """Return what is factorised for each component: the choice with the fewest multiplications."""
        if self.hides_less:
            return "hidden"
        by_blocks = sum(len(places) ** 3 for places in self.coupled)
        return "gram" if self.num_seen**3 <= by_blocks else "blocks"

    @property
    def size(self) -> int:
        """Return the rows of the largest matrix that is factorised for each component."""
        if self.way == "blocks":
            return max(map(len, self.coupled))
        return len(self.seen) - self.num_seen if self.way == "hidden" else self.num_seen

    @property
    def num_values(self) -> int:
        """Return how many numbers are kept in memory."""
        if self.way == "blocks":
            return sum(len(places) ** 2 for places in self.coupled)
        return self.size * math.prod(self.mixture.shape)

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

    def projected(self, v: Tensor) -> Tensor:
        """Return the coordinates of A^T v, (n, *clean) -> (n, D)."""
        y = self.y.expand(len(v), *self.y.shape[1:])
        return self.mixture.coordinates(self.problem.operator.adjoint(v, y))

    def normal(self, u: Tensor) -> Tensor:
        """Return B^T A^T A B u, (n, D) -> (n, D)."""
        y = self.y.expand(len(u), *self.y.shape[1:])
        return self.projected(self.problem.operator(self.mixture.images(u), y))

    @cached_property
    def coupled(self) -> list[Tensor]:
        """Return the coordinates of each block of B^T A^T A B; a block joins the groups of the basis that are coupled.

        Two groups are taken as coupled unless random numbers in one are mapped to zero, up to rounding, in the other.
        For coupled groups this happens with probability zero.
        """
        from scipy.sparse.csgraph import connected_components

        groups = self.mixture.groups
        member = torch.nn.functional.one_hot(groups).T.bool()
        random = torch.rand(member.shape, generator=torch.Generator().manual_seed(0))
        reached = self.normal(random.to(self.y) * member).abs()
        strongest = torch.stack([reached[:, row].amax(1) for row in member], 1)
        links = (strongest > UNCOUPLED * strongest.max()).cpu().numpy()
        _, label = connected_components(links, directed=False)
        block = torch.from_numpy(label).to(groups)[groups]
        return [(block == i).nonzero()[:, 0] for i in range(int(label.max()) + 1)]

    @cached_property
    def blocks(self) -> list[Block]:
        """Return the blocks of B^T A^T A B; one image gives column i of all blocks, since they are not coupled."""
        size = max(map(len, self.coupled))
        blocks = [Block(places, self.y.new_zeros(len(places), size)) for places in self.coupled]
        for columns in torch.arange(size, device=self.y.device).split(ROWS_AT_ONCE):
            units = self.y.new_zeros(len(columns), math.prod(self.mixture.shape))
            for places, _ in blocks:
                inside = columns[columns < len(places)]
                units[inside - columns[0], places[inside]] = 1.0
            found = self.normal(units)
            for places, normal in blocks:
                normal[:, columns] = found[:, places].T
        return [Block(places, normal[:, : len(places)]) for places, normal in blocks]

    @cached_property
    def rows(self) -> Tensor:
        """Return coordinates of rows of A, or of hidden pixels where a mask hides less than it shows, (size, D)."""
        if self.hides_less:
            units = _units((~self.seen).nonzero()[:, 0], len(self.seen), self.y)
            units = (part.unflatten(1, self.mixture.shape) for part in units)
        else:
            units = map(self.spread, _units(torch.arange(self.num_seen), self.num_seen, self.y))
        parts = [self.mixture.coordinates(part) for part in units]
        return torch.cat(parts) if parts else self.y.new_zeros(0, len(self.seen))


def _units(places: Tensor, length: int, like: Tensor) -> Iterator[Tensor]:
    """Yield vectors of that length that are 1 at one of the places and 0 elsewhere, some at a time."""
    for part in places.to(like.device).split(ROWS_AT_ONCE):
        rows = like.new_zeros(len(part), length)
        yield rows.scatter_(1, part[:, None], 1.0)
