"""Convergence of Markov chains: R-hat and effective sample sizes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.chains import chain_diagnostics, principal_directions

__all__ = ["Chains"]

DO_NOT_MOVE = "n/a (chains do not move)"


@dataclass(frozen=True)
class Chains(Metric):
    """Diagnostics of the log likelihood and of projections on the leading directions of the posterior."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "rhat",
                "largest rank-normalised split R-hat, of the states or folded at their median, among the log "
                "likelihood and the projections on the three leading principal directions of the exact draws",
                1.0,
                "1",
                "chain",
                not_finite=DO_NOT_MOVE,
            ),
            Column(
                "ess_bulk",
                "smallest effective sample size among the functionals of rhat, of their ranks: how many independent "
                "samples the samples of all chains are worth",
                "higher",
                "samples",
                "chain",
                not_finite=DO_NOT_MOVE,
            ),
            Column(
                "ess_tail",
                "the same of the events that a functional is beyond its 5 % and its 95 % quantile, the smaller of the "
                "two",
                "higher",
                "samples",
                "chain",
                not_finite=DO_NOT_MOVE,
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        projections = samples.flatten(2) @ truth.of_draws(principal_directions)
        return chain_diagnostics(truth.log_likelihood(samples), projections, truth.num_chains)
