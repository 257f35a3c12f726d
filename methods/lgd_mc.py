"""LGD-MC: loss-guided diffusion models for plug-and-play controllable generation. Song et al., ICML 2023.

https://proceedings.mlr.press/v202/song23k.html

p(x | x_t) is taken for N(D, r^2 I), D = E[x | x_t], and p(y | x_t) for the mean of p(y | u) over draws u of it.

Deviations:
- r^2 = sigma^2 tau^2 / (sigma^2 + tau^2) with tau = `prior_std`; the paper has tau = 1, for images with larger pixels.
- The gradient g of log p(y | x_t) enters as the score does, through D + sigma^2 g. That move is cut to `most_move`
  times r sqrt(d), the length of a draw of N(0, r^2 I) of d numbers: a mean of such draws moves no further, but with few
  of them steps overshoot and diverge where sigma_y is small against r.
- `average = "gradient"` averages log p(y | u), as some public code does. `weighting = "released"` is that code's: the
  gradient of the mean norm of the residual, times `zeta`, is subtracted from the state after the step. The paper has
  published no code of its own.
- Steps are equal in sigma^(1/7); the denoised image is not clipped; the start is noise alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, Uniform
from bench.numerics.diffusion import karras_sigmas
from bench.numerics.steps import ddim_step

__all__ = ["LGDMC"]


class Rows(NamedTuple):
    """Measurements, one row for each sample, (n, *y), and one for each draw, (n num_draws, *y), a sample's in turn."""

    of_samples: Tensor
    of_draws: Tensor


@dataclass(frozen=True)
class LGDMC:
    """DDIM steps with E[x | x_t] moved by the gradient of a Monte Carlo estimate of p(y | x_t), for any likelihood.

    A sample costs one row through the denoiser and one back for each step, whatever the number of draws.
    Exact when the prior is N(0, prior_std^2 I) and `most_move` is 0, as the numbers of draws and of steps grow. With
    few draws, a single one gets all the weight whenever sigma_y is small compared with r.
    """

    kind: ClassVar[Kind] = "guidance"
    uses: ClassVar[Cap] = Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[Search] = {"prior_std": LogUniform(0.05, 30.0), "eta": Uniform(0.0, 1.0)}
    tiny: ClassVar[dict] = {"num_steps": 25}

    num_steps: int = 100
    sigma_max: float = 100.0  # noise levels, in data units
    sigma_min: float = 0.01
    eta: float = 1.0  # 1: ancestral steps, 0: Euler's on the probability-flow ODE
    num_draws: int = 10  # of N(D, r^2 I) a step
    prior_std: float = 0.5  # tau, the standard deviation of a pixel under the prior
    most_move: float = 1.0  # longest move of E[x | x_t], in units of r sqrt(d); 0: no limit
    average: Literal["likelihood", "gradient"] = "likelihood"  # what is averaged over the draws
    weighting: Literal["score", "released"] = "score"  # of the gradient, see above
    zeta: float = 1.0  # step size, with `weighting = "released"` alone

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min}: expected 0 < sigma_min <= sigma_max")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta = {self.eta}: expected a number in [0, 1]")
        for name in ("prior_std", "most_move", "zeta"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")
        if self.weighting == "score" and self.most_move and not self.prior_std:
            raise ValueError(
                f"most_move = {self.most_move}: expected 0 with prior_std = 0, whose r is 0: moves would have no length"
            )
        if self.average not in ("likelihood", "gradient"):
            raise ValueError(f"average = {self.average!r}: expected 'likelihood' or 'gradient'")
        if self.weighting not in ("score", "released"):
            raise ValueError(f"weighting = {self.weighting!r}: expected 'score' or 'released'")

    @property
    def needs(self) -> Cap:
        released = Cap.RESIDUAL if self.weighting == "released" else Cap.NONE
        return Cap.DENOISER | Cap.GRAD | released

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, self.num_steps)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        y = y.repeat_interleave(num_samples, 0)
        rows = Rows(y, y.repeat_interleave(self.num_draws, 0))
        low, high = prior.sigma_range
        sigmas = karras_sigmas(
            self.num_steps, max(low, self.sigma_min), min(high, self.sigma_max), y.dtype
        ).to(y.device)
        x_t = sigmas[0] * rng.per_sample.randn(shape).flatten(0, 1)
        noises = rng.per_sample.steps(self.num_steps, (self.num_draws + 1, *shape))
        for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
            noise = noise.flatten(0, 1)
            x_0, gradient = self._guide(prior, problem, x_t, rows, sigma, noise[:, 1:])
            if self.weighting == "score":
                x_0 = x_0 + self._cut(sigma.square() * gradient, sigma)
            x_t = ddim_step(x_t, x_0, sigma, sigma_next, self.eta, noise[:, 0])
            if self.weighting == "released":
                # steps of zeta on sqrt(abar) x_t, as in DPS
                scale = ((1 + sigma.square()) * (1 + sigma_next.square())).sqrt()
                x_t = x_t + self.zeta * scale * gradient
        return x_t.unflatten(0, (m, num_samples))

    def _spread(self, sigma: Tensor) -> Tensor:
        """Return r, the standard deviation of p(x | x_t) in every direction."""
        return sigma * self.prior_std / (sigma.square() + self.prior_std**2).sqrt()

    def _cut(self, move: Tensor, sigma: Tensor) -> Tensor:
        """Return moves (n, *x) no longer than `most_move` times r sqrt(d)."""
        if not self.most_move:
            return move
        length = move.flatten(1).norm(dim=1).view(-1, *[1] * (move.dim() - 1))
        longest = self.most_move * self._spread(sigma) * math.sqrt(move[0].numel())
        return move * (longest / length.clamp_min(torch.finfo(move.dtype).tiny)).clamp_max(1)

    def _guide(
        self, prior: Prior, problem: Problem, x_t: Tensor, y: Rows, sigma: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return E[x | x_t] and the gradient in x_t of the average over draws; noise (n, num_draws, *x)."""
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            x_0 = prior.denoise(x_t, sigma)
        fixed, r = x_0.detach(), self._spread(sigma)
        linear = self.weighting == "score" and Cap.LINEAR in problem.caps
        pull = (self._linear_pull if linear else self._pull)(problem, fixed, y, r, noise)
        (gradient,) = torch.autograd.grad(x_0, x_t, pull)
        return fixed, gradient

    def _pull(self, problem: Problem, x_0: Tensor, y: Rows, r: Tensor, noise: Tensor) -> Tensor:
        """Return the gradient in x_0 (n, *x) of the average over the draws x_0 + r noise."""
        with torch.enable_grad():
            x_0 = x_0.detach().requires_grad_()
            draws = torch.addcmul(x_0[:, None], noise, r).flatten(0, 1)
            if self.weighting == "released":
                values = -problem.residual(draws, y.of_draws).flatten(1).norm(dim=1)
            else:
                values = problem.log_likelihood(draws, y.of_draws)
            values = values.view(-1, self.num_draws)
            total = values.logsumexp(1) if self.average == "likelihood" else values.mean(1)
            return torch.autograd.grad(total.sum(), x_0)[0]

    def _linear_pull(
        self, problem: Problem, x_0: Tensor, y: Rows, r: Tensor, noise: Tensor
    ) -> Tensor:
        """Return what `_pull` does, with one product with the adjoint for all draws: that of their mean residual."""
        clean = problem.operator(noise.flatten(0, 1), y.of_draws)
        residual = problem.residual(x_0, y.of_samples)
        by_draw = torch.addcmul(
            residual.flatten(1)[:, None], clean.flatten(1).unflatten(0, noise.shape[:2]), -r
        )
        values = by_draw.norm(dim=2).square() / (-2 * problem.sigma_y**2)
        # the share of each draw in the gradient
        share = (values if self.average == "likelihood" else 0 * values).softmax(1)
        mean = (share[:, None] @ by_draw).view_as(residual)
        return problem.operator.adjoint(mean, y.of_samples) / problem.sigma_y**2
