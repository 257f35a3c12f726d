"""Exact posterior draws: the floor of every distance, with which every other method is compared.

https://arxiv.org/abs/2101.04653 (a benchmark needs reference posteriors: Lueckmann et al., AISTATS 2021)
Deviations: none; for non-linear problems on a mixture prior these are draws of one further reference run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.types import NFE, Cap, Joint, Kind, Prior, Problem, Random, Search

__all__ = ["Oracle"]


@dataclass(frozen=True)
class Oracle:
    """Draws from p(x | y) itself, without the network.

    A sample costs no row through the prior's network.

    Exact when the posterior has a closed form or is a sum over a finite set; otherwise up to the error of particles.
    """

    needs: ClassVar[Cap] = Cap.EXACT
    search: ClassVar[Search] = {}
    kind: ClassVar[Kind] = "baseline"
    joint: ClassVar[Joint] = "coupled"  # a reference may be a cloud of particles

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(0, 0)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        return problem.sample_posterior(y, num_samples, rng)
