"""Prior draws that ignore the measurement: the ceiling of every distance.

https://arxiv.org/abs/2101.04653 (a benchmark needs reference posteriors: Lueckmann et al., AISTATS 2021)
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.types import NFE, Cap, Kind, Prior, Problem, Random, Search

__all__ = ["Unconditional"]


@dataclass(frozen=True)
class Unconditional:
    """Draws from p(x), whatever y is.

    A sample costs a draw of the prior.

    Exact when the measurement says nothing.
    """

    needs: ClassVar[Cap] = Cap.NONE
    search: ClassVar[Search] = {}
    kind: ClassVar[Kind] = "baseline"

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(prior.sample_nfe, 0)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        return (
            prior.sample(1, rng.per_sample.flat).flatten(0, 1).unflatten(0, (len(y), num_samples))
        )
