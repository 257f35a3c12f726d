"""The interface of posteriors, and a stand-in for a posterior that cannot be sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from bench.core.types import PerSample, Prior, Random


class Posterior(Protocol):
    """p(x | y) for y (m, *y), sampled exactly or by particles whose agreement is checked.

    kind: how it is known. perplexity_of: what `perplexity` counts. offered: whether methods may draw from it, by
    Cap.EXACT.
    """

    kind: ClassVar[str]
    perplexity_of: ClassVar[str | None]
    offered: ClassVar[bool]

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor: ...  # (m, s, *x)
    # mean and std (m, *x), where there is a formula
    def moments(self, y: Tensor) -> tuple[Tensor, Tensor] | None: ...
    # (m,) effective number of components or atoms
    def perplexity(self, y: Tensor) -> Tensor | None: ...


@runtime_checkable
class HasLogZ(Protocol):
    """A posterior with a formula for log Z, Z the mean of exp(log_likelihood) under the prior."""

    def log_z(self, y: Tensor) -> Tensor: ...  # (m,)


@dataclass(frozen=True, eq=False)
class NoPosterior:
    """A posterior that cannot be sampled: draws are NaN, and `why` says what is missing."""

    prior: Prior
    why: str

    kind: ClassVar[str] = "none"
    perplexity_of: ClassVar[str | None] = None
    offered: ClassVar[bool] = False

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        return y.new_full((len(y), num_samples, *self.prior.shape), torch.nan)

    def moments(self, y: Tensor) -> None:
        return None

    def perplexity(self, y: Tensor) -> None:
        return None


def perplexity_of(weights: Tensor) -> Tensor:
    """Return exp of the entropy of each row of weights (m, K): between 1 and K, (m,)."""
    return torch.special.entr(weights).sum(1).exp()


def streams_of(rng: Random, num_samples: int) -> PerSample:
    """Return the streams of the posterior samples; ValueError unless there are num_samples of them."""
    if len(rng.per_sample) != num_samples:
        raise ValueError(
            f"sample_posterior: num_samples = {num_samples}, but rng has streams of {len(rng.per_sample)} posterior "
            f"samples; make it as Rng(axes, ids, samples=range({num_samples}))"
        )
    return rng.per_sample
