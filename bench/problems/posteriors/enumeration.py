"""The exact posterior of a uniform prior on a finite set of images, by enumeration: Bayes' rule, atom by atom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import FiniteSet, Problem, Random
from bench.problems.posteriors.posterior import perplexity_of, streams_of

VALUES_AT_ONCE = 2**24  # in the atoms that are measured at once, which bounds the memory


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Prior on a finite set, any likelihood: posterior weights of all atoms, no approximation."""

    prior: FiniteSet
    problem: Problem

    kind: ClassVar[str] = "enumeration"
    perplexity_of: ClassVar[str | None] = "atoms"
    offered: ClassVar[bool] = True

    def weights(self, y: Tensor) -> Tensor:
        """Return p(a_i | y), (m, N)."""
        return self._log_likelihoods(y).softmax(1)

    def log_z(self, y: Tensor) -> Tensor:
        return self._log_likelihoods(y).logsumexp(1) - math.log(len(self.prior.atoms))

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        weights, uniform = self.weights(y), streams_of(rng, num_samples).rand(())
        pick = torch.searchsorted(weights.cumsum(1), uniform).clamp_max(weights.shape[1] - 1)
        return self.prior.atoms[pick]

    def moments(self, y: Tensor) -> tuple[Tensor, Tensor]:
        weights, atoms = self.weights(y), self.prior.atoms.flatten(1)
        mean, size = weights @ atoms, self._rows_at_once
        variance = torch.zeros_like(mean)
        for w, part in zip(weights.split(size, 1), atoms.split(size), strict=True):
            for row, centre, into in zip(w, mean, variance, strict=True):
                into += row @ (part - centre).square()
        return mean.unflatten(1, self.prior.shape), variance.sqrt().unflatten(1, self.prior.shape)

    def perplexity(self, y: Tensor) -> Tensor:
        return perplexity_of(self.weights(y))

    def _log_likelihoods(self, y: Tensor) -> Tensor:
        """Return the log likelihood of each atom, (m, N)."""
        parts, rows = self.prior.atoms.split(self._rows_at_once), []
        for row in y:
            measured = ((part, row.expand(len(part), *row.shape)) for part in parts)
            rows.append(torch.cat([self.problem.log_likelihood(*each) for each in measured]))
        return torch.stack(rows)

    @property
    def _rows_at_once(self) -> int:
        return max(1, VALUES_AT_ONCE // math.prod(self.prior.shape))
