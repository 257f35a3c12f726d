"""Flow matching on straight paths u_t = (1 - t) z + t x, with networks in torchcfm's layout.

Lipman et al., Flow Matching for Generative Modeling, ICLR 2023, https://arxiv.org/abs/2210.02747, and Tong et al.,
Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport, TMLR 2024,
https://arxiv.org/abs/2302.00482
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.priors.adapters.architectures import Architecture
from bench.priors.adapters.diffusers import Pipeline, scheduler_of
from bench.priors.adapters.guided_unet import opened_unet
from bench.priors.adapters.preconditioning import spread

SCHEDULER = "FlowMatchEulerDiscreteScheduler"  # named in the folder, but not used
SOLVERS = {"euler": 1, "midpoint": 2}  # network calls of a step


@dataclass(frozen=True, eq=False)
class FlowMatching:
    """D(x_t) = u + (1 - t) v(u, t) with t = 1 / (1 + sigma) and u = t x_t, which is t x + (1 - t) eps.

    v(u, t) = E[x - z | u], so that E[x | u] = u + (1 - t) v. This is E[x | x_t] if the noise is independent of x, which
    it is not for a network trained on pairs by optimal transport.
    """

    pipeline: Pipeline

    @classmethod
    def opened(
        cls,
        tensors: Mapping[str, Tensor],
        architecture: Architecture,
        label: int | None = None,
        source: str = "weights",
    ) -> FlowMatching:
        """Return the flow with these weights; raise UserError, one line, for those of another architecture."""
        unet = opened_unet(tensors, architecture, source)
        return cls(Pipeline(unet, scheduler_of(SCHEDULER, {}), label))

    @property
    def sigma_range(self) -> tuple[float, float]:
        return 0.002, 200.0  # (1 - t) / t of times that are nearly 1 and nearly 0

    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t]: x_t (n, *x), sigma () or (n,), float32."""
        t = 1 / (1 + sigma)
        u = spread(t, x_t) * x_t
        return u + spread(1 - t, x_t) * self.pipeline.predict(u, t)

    def score(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of log p(x_t), t times that of log p(u): -E[z | u] / (1 - t), E[z | u] = u - t v."""
        t = 1 / (1 + sigma)
        t_x, u = spread(t, x_t), spread(t, x_t) * x_t
        return t_x * (t_x * self.pipeline.predict(u, t) - u) / (1 - t_x)

    def flow(self, z: Tensor, num_steps: int, solver: str) -> Tensor:
        """Follow the velocity from z (n, *x) at t = 0 to an image at t = 1, float32."""
        x, h = z, 1 / num_steps
        for i in range(num_steps):
            t = torch.full((), i * h, device=z.device)
            velocity = self.pipeline.predict(x, t)
            if solver == "midpoint":
                velocity = self.pipeline.predict(x + h / 2 * velocity, t + h / 2)
            x = x + h * velocity
        return x
