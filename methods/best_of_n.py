"""Best of n: of n draws of the prior the one that fits the measurement best.

Stiennon et al., Learning to summarize from human feedback, NeurIPS 2020 (rejection sampling by a score):
https://arxiv.org/abs/2009.01325
Deviations: the score is minus the norm of the residual; every sample is the best of n draws of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Choice, Kind, Prior, Problem, Random, Search

__all__ = ["BestOfN"]


@dataclass(frozen=True)
class BestOfN:
    """For each sample, the one of `num_draws` draws of the prior whose residual has the smallest norm.

    A sample costs `num_draws` draws of the prior, and no gradients.

    Not exact: let r in [0, 1] be the share of the prior's draws with a smaller residual than x. Then the density of x
    is that of the prior times n (1 - r)^(n - 1), with n = `num_draws`: for n = 1 the prior, for n to infinity the best
    fit to y, however large the noise is.
    """

    needs: ClassVar[Cap] = Cap.RESIDUAL
    search: ClassVar[Search] = {"num_draws": Choice((4, 16, 64, 256))}
    kind: ClassVar[Kind] = "baseline"

    num_draws: int = 64  # of the prior, for each sample

    def __post_init__(self) -> None:
        if self.num_draws < 1:
            raise ValueError(f"num_draws = {self.num_draws}: expected 1 or more")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_draws * prior.sample_nfe, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, y = len(y), y.repeat_interleave(num_samples, 0)
        draws, best, smallest = rng.per_sample.flat, None, None
        for _ in range(self.num_draws):  # one after another: only the best is held
            x = prior.sample(1, draws)[:, 0]
            norm = problem.residual(x, y).flatten(1).norm(dim=1)
            if best is None or smallest is None:
                best, smallest = x, norm
                continue
            is_better = (norm < smallest).view(-1, *[1] * (x.ndim - 1))
            best, smallest = torch.where(is_better, x, best), torch.minimum(norm, smallest)
        assert best is not None
        return best.unflatten(0, (m, num_samples))
