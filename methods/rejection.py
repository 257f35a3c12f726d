"""Rejection sampling from the prior: a draw is kept with probability exp(log_likelihood - bound).

Devroye, Non-Uniform Random Variate Generation, 1986, chapter II.3. http://luc.devroye.org/rnbookindex.html

Deviations:
- Each sample has `num_draws` draws of its own and is the first of them that is kept, so that the cost is fixed.
- Where none is kept the sample is one of its draws, by their importance weights (Rubin 1987,
  https://doi.org/10.1080/01621459.1987.10478461).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Choice, Kind, Prior, Problem, Random, Search

__all__ = ["Rejection"]


@dataclass(frozen=True)
class Rejection:
    """Draws from the prior until one is kept, for any likelihood; no gradients, no decoder.

    A sample costs `num_draws` draws of the prior.

    Exact when the log likelihood is nowhere above `bound` and each sample keeps a draw: a share of (1 - Z)^num_draws
    keeps none, for Z the mean of exp(log_likelihood - bound) under the prior.
    """

    needs: ClassVar[Cap] = Cap.NONE
    search: ClassVar[Search] = {"num_draws": Choice((16, 64, 256, 1024))}
    kind: ClassVar[Kind] = "baseline"
    tiny: ClassVar[dict[str, object]] = {"num_draws": 8}

    num_draws: int = 128  # of the prior, for each sample
    # the largest log likelihood: 0 for Gaussian noise and for rewards that are probabilities
    bound: float = 0.0

    def __post_init__(self) -> None:
        if self.num_draws < 1:
            raise ValueError(f"num_draws = {self.num_draws}: expected 1 or more")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_draws * prior.sample_nfe, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, y, draws = len(y), y.repeat_interleave(num_samples, 0), rng.per_sample.flat
        chosen = y.new_full((len(y), *prior.shape), torch.nan)
        highest = y.new_full((len(y),), -torch.inf)
        is_kept = torch.zeros_like(highest, dtype=torch.bool)
        for _ in range(self.num_draws):  # one after another: only the chosen one is held
            x = prior.sample(1, draws)[:, 0]
            log_weight = problem.log_likelihood(x, y).to(highest) - self.bound
            uniform = draws.rand((2,)).to(highest)
            keeps = ~is_kept & (uniform[:, 0].log() < log_weight)
            # the largest of log weights with Gumbel noise is a draw by the weights
            key = log_weight - (-uniform[:, 1].log()).log()
            takes = keeps | (~is_kept & (key > highest))
            chosen = torch.where(takes.view(-1, *[1] * (x.ndim - 1)), x, chosen)
            highest, is_kept = torch.maximum(highest, key), is_kept | keeps
        return chosen.unflatten(0, (m, num_samples))

    @torch.no_grad()
    def diagnose(
        self, prior: Prior, problem: Problem, y: Tensor, num_paths: int, *, rng: Random
    ) -> dict[str, Tensor]:
        """Return `log_z`, `elbo` and `path_ess` (m,) of the prior as a proposal, from the draws of `num_paths` samples.

        Z is the mean of exp(log_likelihood) under the prior, so that `elbo` is the mean log likelihood of its draws.
        """
        rows, log_weights = y.repeat_interleave(num_paths, 0), []
        for _ in range(self.num_draws):
            x = prior.sample(num_paths, rng).flatten(0, 1)
            log_weights.append(problem.log_likelihood(x, rows).unflatten(0, (len(y), -1)))
        weight = torch.cat(log_weights, 1)
        total, count = weight.logsumexp(1), torch.tensor(float(weight.shape[1]))
        path_ess = (2 * total - (2 * weight).logsumexp(1)).exp() / count
        return {"log_z": total - count.log(), "elbo": weight.mean(1), "path_ess": path_ess}
