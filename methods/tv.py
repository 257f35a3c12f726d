"""Total variation: the image that fits the measurement and whose gradient is sparse.

Rudin, Osher & Fatemi, Nonlinear total variation based noise removal algorithms, Physica D 1992.
https://doi.org/10.1016/0167-2789(92)90242-F
Solved by the primal-dual splitting of Condat, JOTA 2013, https://doi.org/10.1007/s10957-012-0245-9, and Vu, 2013.

Minimises |y - A x|^2 / (2 sigma_y^2) + weight TV(x), where TV is the sum over pixels of the Euclidean norm of the
forward differences of all channels, zero across the border.

Deviations: none; steps are set by the operator's norm, which power iterations estimate for each measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.core.types import NFE, Cap, Joint, Kind, LogUniform, Prior, Problem, Random, Search

__all__ = ["TotalVariation"]

NUM_POWER = 20  # power iterations for the operator's norm
SAFETY = 1.2  # factor on its squared estimate, which is never above the true value


@dataclass(frozen=True)
class TotalVariation:
    """A point estimate: the maximum a posteriori image under a prior that penalises edges, without a generative model.

    A measurement costs `num_steps` products with A and with its adjoint, and no row through the prior's network.

    Not exact: the task's prior is not used. The algorithm converges to the minimum of its objective, which is unique if
    A has no null space.
    """

    needs: ClassVar[Cap] = Cap.LINEAR | Cap.RESIDUAL
    search: ClassVar[Search] = {"weight": LogUniform(0.1, 100.0)}
    joint: ClassVar[Joint] = "point"
    kind: ClassVar[Kind] = "baseline"

    weight: float = 1.0  # nats per data unit of total variation
    num_steps: int = 500  # of the primal-dual splitting

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight = {self.weight}: expected a number >= 0")
        if self.num_steps < 1:
            raise ValueError(f"num_steps = {self.num_steps}: expected 1 or more")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(0, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        x = y.new_zeros(len(y), *prior.shape)
        norm = SAFETY * squared_norm(problem, y, rng.randn(prior.shape))
        # 1 / step - 8 step_dual >= norm / 2, with half of the room for each (Condat 2013, theorem 3.1)
        step, step_dual, bound = 1 / norm, norm / 16, self.weight * problem.sigma_y**2
        dual = torch.zeros_like(differences(x))
        for _ in range(self.num_steps):
            pull = problem.operator.adjoint(problem.residual(x, y), y)
            moved = x + step * (pull - adjoint_of_differences(dual))
            dual = dual + step_dual[..., None] * differences(2 * moved - x)
            lengths = dual.square().sum((1, 4), keepdim=True).sqrt()
            dual = dual * (bound / lengths.clamp_min(bound)) if bound else torch.zeros_like(dual)
            x = moved
        return x[:, None].expand(-1, num_samples, *prior.shape)


def squared_norm(problem: Problem, y: Tensor, x: Tensor) -> Tensor:
    """Return the largest eigenvalue of A^T A for each y (n, *y), (n, 1, 1, 1); 1 where A is zero.

    x (n, c, h, w): where the power iterations start.
    """
    operator, size = problem.operator, torch.ones_like(x[:, :1, :1, :1])
    for _ in range(NUM_POWER):
        x = x / x.flatten(1).norm(dim=1).view(size.shape).clamp_min(torch.finfo(x.dtype).tiny)
        x = operator.adjoint(operator(x, y), y)
        size = x.flatten(1).norm(dim=1).view(size.shape)
    return torch.where(size > 0, size, 1)


def differences(x: Tensor) -> Tensor:
    """Return the forward differences of images (n, c, h, w) down and across, zero at the border, (n, c, h, w, 2)."""
    down = pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 1))
    return torch.stack([down, pad(x[..., 1:] - x[..., :-1], (0, 1))], 4)


def adjoint_of_differences(u: Tensor) -> Tensor:
    """Return the adjoint of `differences` of u (n, c, h, w, 2), (n, c, h, w)."""
    down, across = u[:, :, :-1, :, 0], u[:, :, :, :-1, 1]
    vertical = pad(down, (0, 0, 1, 0)) - pad(down, (0, 0, 0, 1))
    return vertical + pad(across, (1, 0)) - pad(across, (0, 1))
