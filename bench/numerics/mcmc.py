"""Markov chain Monte Carlo: kernels, adaptation, annealed warm-up, thinning. Rows are chains and do not interact."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

# position (n, d) -> log density (n,), its gradient (n, d)
Target = Callable[[Tensor], tuple[Tensor, Tensor]]
Chains = TypeVar("Chains")  # the state of a method's chains, of any type

# Optimal in high dimension. Roberts & Rosenthal 1998, https://doi.org/10.1111/1467-9868.00123; Beskos et al. 2013,
# https://arxiv.org/abs/1001.4460 (0.651, and 0.8 is more robust); Gelman, Gilks & Roberts 1997 (0.234)
MALA_ACCEPTANCE, HMC_ACCEPTANCE, RANDOM_WALK_ACCEPTANCE = 0.574, 0.75, 0.234


class ChainState(NamedTuple):
    """Positions (n, d) with the target's log density (n,) and gradient (n, d) there."""

    position: Tensor
    log_density: Tensor
    gradient: Tensor


def start(position: Tensor, target: Target) -> ChainState:
    """Return the state at positions (n, d), by one evaluation of the target."""
    return ChainState(position, *target(position))


def langevin_step(state: ChainState, target: Target, step: Tensor, noise: Tensor) -> ChainState:
    """Take an unadjusted Langevin step, x + step * gradient + sqrt(2 step) noise; step () or (n, 1)."""
    return start(state.position + step * state.gradient + (2 * step).sqrt() * noise, target)


def mala_step(
    state: ChainState, target: Target, step: Tensor, noise: Tensor, uniform: Tensor
) -> tuple[ChainState, Tensor]:
    """Take a Metropolis-adjusted Langevin step; also return its acceptance probabilities (n,); uniform (n,) decides.

    `uniform` = 0 accepts every proposal of positive probability. Roberts & Tweedie 1996,
    https://doi.org/10.2307/3318418
    """
    proposal = langevin_step(state, target, step, noise)
    backward = state.position - proposal.position - step * proposal.gradient
    log_ratio = proposal.log_density - state.log_density
    log_ratio = (
        log_ratio - backward.square().sum(1) / (4 * step.view(-1)) + noise.square().sum(1) / 2
    )
    chosen, acceptance = metropolis(log_ratio, uniform)
    return _either(chosen, proposal, state), acceptance


def leapfrog(
    state: ChainState,
    momentum: Tensor,
    target: Target,
    step: Tensor,
    num_steps: int,
    root: Tensor | None = None,
) -> tuple[ChainState, Tensor]:
    """Integrate Hamilton's equations by the leapfrog rule, one evaluation of the target a step; momentum (n, d).

    Momentum is standard normal in coordinates w with position = root w, root (d, d); None is the identity. Volume is
    kept, negating the momentum runs time backwards, and the energy |momentum|^2 / 2 - log density errs by O(step^2).
    step () or (n, 1). Neal 2011, https://arxiv.org/abs/1206.1901
    """
    for _ in range(num_steps):
        momentum = momentum + step / 2 * (state.gradient if root is None else state.gradient @ root)
        move = step * momentum
        state = start(state.position + (move if root is None else move @ root.T), target)
        momentum = momentum + step / 2 * (state.gradient if root is None else state.gradient @ root)
    return state, momentum


def hmc_step(
    state: ChainState,
    target: Target,
    step: Tensor,
    num_leapfrog: int,
    momentum: Tensor,
    uniform: Tensor,
    root: Tensor | None = None,
) -> tuple[ChainState, Tensor]:
    """Take a step from standard normal `momentum` (n, d); also return its acceptance probabilities (n,)."""
    proposal, final = leapfrog(state, momentum, target, step, num_leapfrog, root)
    log_ratio = (
        proposal.log_density - state.log_density - (final.square() - momentum.square()).sum(1) / 2
    )
    chosen, acceptance = metropolis(log_ratio, uniform)
    return _either(chosen, proposal, state), acceptance


def metropolis(log_ratio: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Return which proposals are accepted and their acceptance probabilities, (n,) each; NaN is refused."""
    acceptance = log_ratio.clamp_max(0).exp().nan_to_num(0.0)
    return uniform < acceptance, acceptance


def crank_nicolson(position: Tensor, scale: Tensor, noise: Tensor) -> Tensor:
    """Return sqrt(1 - scale^2) z + scale noise, reversible against N(0, I) for any scale in [0, 1].

    Cotter, Roberts, Stuart & White 2013, https://arxiv.org/abs/1202.0709
    """
    return (1 - scale.square()).sqrt() * position + scale * noise


def retempered(state: ChainState, ratio: Tensor | float) -> ChainState:
    """Multiply the log likelihood by `ratio`, () or (n,), under the prior N(0, I); without an evaluation."""
    ratio = torch.as_tensor(ratio, dtype=state.position.dtype, device=state.position.device)
    prior = state.position.square().sum(1) / 2
    gradient = ratio.view(-1, 1) * (state.gradient + state.position) - state.position
    return ChainState(state.position, ratio * (state.log_density + prior) - prior, gradient)


def _either(chosen: Tensor, new: ChainState, old: ChainState) -> ChainState:
    return ChainState(*(where_row(chosen, a, b) for a, b in zip(new, old, strict=True)))


def where_row(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return rows of `new` where `chosen` (n,), else of `old`."""
    return torch.where(chosen.view(-1, *[1] * (old.dim() - 1)), new, old)


def tamed_langevin_step(
    state: ChainState, target: Target, step: Tensor, noise: Tensor
) -> ChainState:
    """Take an unadjusted Langevin step whose drift is at most twice as long as its noise is on average.

    Where the gradient changes much within one step, an unadjusted chain without this limit diverges. In equilibrium the
    drift is shorter than the noise. After Brosse et al. 2019, https://arxiv.org/abs/1710.05559
    """
    drift, limit = step * state.gradient, 2 * (2 * step * noise.shape[1]).sqrt()
    drift = drift * (limit / drift.norm(dim=1, keepdim=True)).clamp_max(1)
    return start(state.position + drift + (2 * step).sqrt() * noise, target)


def adapted_step(
    step: Tensor, acceptance: Tensor, rate: float, goal: float = MALA_ACCEPTANCE
) -> Tensor:
    """Move the log step by Robbins-Monro towards acceptance `goal`; shapes of step and acceptance agree."""
    return step * torch.exp(rate * (acceptance - goal))


class DualAveraging(NamedTuple):
    """Step sizes while they adapt, as logarithms: the next one, the average that is kept in the end, and the first."""

    log_step: Tensor
    log_average: Tensor
    log_start: Tensor
    error: Tensor
    num_updates: int

    @classmethod
    def begin(cls, step: Tensor) -> DualAveraging:
        """Return the state before any acceptance is known."""
        return cls(step.log(), torch.zeros_like(step), step.log(), torch.zeros_like(step), 0)

    @property
    def kept(self) -> Tensor:
        """Return the logarithm of the step after adaptation: the average, or the first one without any update."""
        return self.log_average if self.num_updates else self.log_step

    def updated(self, acceptance: Tensor, goal: float) -> DualAveraging:
        """Return the steps after one more acceptance, moved towards `goal`; shapes of steps and acceptance agree.

        Hoffman & Gelman 2014, https://arxiv.org/abs/1111.4246, algorithm 5: gamma = 0.05, t_0 = 10, kappa = 0.75. Their
        mu, to which log steps are shrunk, is the first step here and not ten times as much, so it has to be a good
        guess.
        """
        count = self.num_updates + 1
        error = self.error + (goal - acceptance - self.error) / (count + 10)
        log_step = self.log_start - count**0.5 / 0.05 * error
        weight = count**-0.75
        log_average = weight * log_step + (1 - weight) * self.log_average
        return DualAveraging(log_step, log_average, self.log_start, error, count)


def noise_levels(anneal: float, num_warmup: int, num_adapt: int, like: Tensor) -> Tensor:
    """Return noise levels of the likelihood in units of sigma_y: start, `num_warmup` annealed, `num_adapt` more.

    (1 + num_warmup + num_adapt,), as `like`: they fall geometrically from `anneal` to 1 and stay there.
    """
    rising = torch.logspace(
        0, math.log10(anneal), num_warmup + 1, dtype=like.dtype, device=like.device
    )
    return torch.cat([rising.flip(0), rising.new_ones(num_adapt)])


def thinned(
    state: Chains,
    move: Callable[[Chains], Chains],
    images: Callable[[Chains], Tensor],
    num_samples: int,
    thin: int,
) -> Tensor:
    """Return every `thin`-th state after `state` as samples (m, s, *x); state t of chain c is sample t * chains + c.

    images: state -> (m, chains, *x).
    """
    samples: list[Tensor] = []
    while sum(part.shape[1] for part in samples) < num_samples:
        for _ in range(thin):
            state = move(state)
        samples.append(images(state))
    return torch.cat(samples, 1)[:, :num_samples]


def curvature(
    target: Target, position: Tensor, direction: Tensor, num_iterations: int, m: int
) -> Tensor:
    """Return the largest curvature by power iteration, (n, 1): its median over a measurement's n / m chains.

    The median is used because some chains start on the border of two modes, where the curvature is of no use. It takes
    num_iterations + 1 evaluations; with num_iterations = 0 it takes none, and the curvature is taken as zero.
    """
    if num_iterations == 0:
        return torch.zeros_like(position[:, :1])
    gradient, distance = target(position)[1], 0.05
    for _ in range(num_iterations):
        direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(
            torch.finfo(position.dtype).tiny
        )
        direction = (target(position + distance * direction)[1] - gradient) / distance
    return per_measurement(direction.norm(dim=1), m, lambda values, dim: values.median(dim).values)


def per_measurement(values: Tensor, m: int, reduce: Callable[..., Tensor]) -> Tensor:
    """Return one value (n, 1) for all chains of a measurement, from one per chain (n,)."""
    chains = len(values) // m
    return reduce(values.unflatten(0, (m, chains)), dim=1).repeat_interleave(chains)[:, None]
