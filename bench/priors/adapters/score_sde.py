"""Score-SDE's variance-exploding models in the diffusers folder format, whose networks were trained on [0, 1].

Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, ICLR 2021.
https://arxiv.org/abs/2011.13456
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.errors import UserError
from bench.priors.adapters.diffusers import Pipeline
from bench.priors.adapters.preconditioning import spread

SCORE_SDE = "ScoreSdeVeScheduler"
RANGES = {
    "[0, 1]": 2.0,
    "[-1, 1]": 1.0,
}  # range of a network's images -> our data units in one of its units


@dataclass(frozen=True, eq=False)
class ScoreSDE:
    """D(x_t) = 2 (u + s^2 score(u, s)) - 1 with u = (x_t + 1) / 2 and s = sigma / 2; without the halves for [-1, 1]."""

    pipeline: Pipeline
    units: float = 2.0  # our data units in one of the network's, 2 or 1

    def __post_init__(self) -> None:
        if self.pipeline.kind != SCORE_SDE:
            raise UserError(f"{self.pipeline.kind}: expected {SCORE_SDE}; family edm opens others")

    @property
    def sigma_range(self) -> tuple[float, float]:
        config = self.pipeline.scheduler.config
        return self.units * config.sigma_min, self.units * config.sigma_max

    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t]: x_t (n, *x), sigma () or (n,), float32; below sigma_min the network gets sigma_min."""
        return x_t + spread(sigma, x_t).square() * self.score(x_t, sigma)

    def score(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of log p(x_t), (n, *x): the network's output, converted from its units."""
        theirs = (x_t + self.units - 1) / self.units
        level = (sigma / self.units).clamp_min(self.pipeline.scheduler.config.sigma_min)
        return self.pipeline.predict(theirs, level) / self.units
