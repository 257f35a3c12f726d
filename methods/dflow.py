"""D-Flow: descent to the measurement in the source space of a flow or another decoder.

Ben-Hamu et al., D-Flow: Differentiating through Flows for Controlled Generation, ICML 2024.
https://arxiv.org/abs/2402.14017
The same with Adam and a few DDIM steps: Wang et al., DMPlug, NeurIPS 2024, https://arxiv.org/abs/2405.16749

Minimises -log_likelihood(f(z), y) + weight R(z), x = f(z). R is |z|^2 / 2 - (d - 1) log |z|, minus the log density of
the norm of z ~ N(0, I), with its minimum at |z| = sqrt(d - 1), or |z|^2 / 2, minus the log density of z itself.

Deviations:
- The decoder is the prior's, whatever makes it; the paper's is a flow that is solved by six midpoint steps.
- Adam, as in DMPlug, whose steps leave the rows of a batch apart; the paper has L-BFGS with a line search.
- All starts are draws of N(0, I); the paper mixes them with the flow of A^T y backwards.
- `weight` = 1 is Bayes' weight. The paper minimises |y - A f(z)|^2 + lambda R(z): lambda = 2 sigma_y^2 weight.
- DMPlug keeps the iterate that is nearest to the truth; `stop = "discrepancy"` keeps the first whose squared residual
  is at most sigma_y^2 times the number of measured values, those whose residual at the start is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics.training import falling_cosine

__all__ = ["DFlow"]


@dataclass(frozen=True)
class DFlow:
    """For each sample a descent in z, from its own random start, to a local maximum of the posterior density of z.

    A sample costs `num_steps` + 1 decoded rows, and `num_steps` backward.

    Not exact: samples are modes of the posterior and differ only by their starts. With a linear decoder and the
    Gaussian regulariser, all samples are the posterior's mean (ridge regression).
    """

    search: ClassVar[Search] = {
        "weight": LogUniform(0.001, 10.0),
        "learning_rate": LogUniform(0.01, 3.0),
    }
    kind: ClassVar[Kind] = "latent"

    num_steps: int = 200  # of Adam
    learning_rate: float = 0.1  # of Adam, falls to zero like half a cosine
    # R: minus the log density of the norm of z, minus that of z (|z|^2 / 2), or nothing
    prior_term: Literal["norm", "gaussian", "none"] = "norm"
    weight: float = 1.0  # of the prior's term
    # discrepancy: keep the first iterate that fits y as well as the noise allows, in place of the last
    stop: Literal["never", "discrepancy"] = "never"

    def __post_init__(self) -> None:
        for name in ("num_steps", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        if self.weight < 0:
            raise ValueError(f"weight = {self.weight}: expected a number >= 0")
        choices = {"prior_term": ("norm", "gaussian", "none"), "stop": ("never", "discrepancy")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: expected one of {', '.join(allowed)}"
                )

    @property
    def needs(self) -> Cap:
        stops = self.stop == "discrepancy"
        return Cap.DECODER | Cap.GRAD | (Cap.RESIDUAL if stops else Cap.NONE)

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE((self.num_steps + 1) * prior.decode_nfe, self.num_steps * prior.decode_nfe)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, y = len(y), y.repeat_interleave(num_samples, 0)
        z = rng.per_sample.randn(prior.latent_shape).flatten(0, 1)
        optimiser = torch.optim.Adam([z], lr=self.learning_rate)
        rate = falling_cosine(self.learning_rate, self.num_steps)
        stopping = Discrepancy(problem, y) if self.stop == "discrepancy" else None
        for i in range(self.num_steps):
            optimiser.param_groups[0]["lr"] = rate(i / self.num_steps)
            x, z.grad = self._gradient(prior, problem, z, y)
            kept = z.clone() if stopping else None
            optimiser.step()
            if stopping and kept is not None:
                z.copy_(torch.where(stopping.is_done(x), kept, z))
        with torch.no_grad():
            return prior.decode(z).unflatten(0, (m, num_samples))

    def _gradient(
        self, prior: Prior, problem: Problem, z: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return f(z) (n, *x), and the gradient (n, *z) of what is minimised."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            x = prior.decode(z)
            (gradient,) = torch.autograd.grad(-problem.log_likelihood(x, y).sum(), z)
        x, z = x.detach(), z.detach()
        if self.prior_term == "none":
            return x, gradient
        if self.prior_term == "gaussian":
            return x, gradient + self.weight * z
        axes = tuple(range(1, z.ndim))
        slope = 1 - (z[0].numel() - 1) / z.square().sum(axes, keepdim=True)
        return x, gradient + self.weight * slope * z


class Discrepancy:
    """A stopping rule: which rows fit measurements y (n, *y) to the level of the noise, by their squared residual."""

    def __init__(self, problem: Problem, y: Tensor) -> None:
        self.problem, self.y = problem, y
        self.num_measured: Tensor | None = None
        self.done: Tensor | None = None

    def is_done(self, x: Tensor) -> Tensor:
        """Return whether images x (n, *x), or earlier ones of the same row, fit, (n, 1, ...) with as many axes as x."""
        residual = self.problem.residual(x, self.y).flatten(1)
        if self.num_measured is None:
            self.num_measured = (residual != 0).sum(1)
        fits = residual.square().sum(1) <= self.num_measured * self.problem.sigma_y**2
        self.done = fits if self.done is None else self.done | fits
        return self.done.view(-1, *[1] * (x.ndim - 1))
