"""Markov chain and sequential Monte Carlo kernels. Rows are chains; none of them influences another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Target = Callable[[Tensor], tuple[Tensor, Tensor]]  # position (n, d) -> log density (n,), its gradient (n, d)

# Optimal in high dimension. Roberts & Rosenthal 1998, https://doi.org/10.1111/1467-9868.00123; Beskos et al. 2013,
# https://arxiv.org/abs/1001.4460 (0.651, and 0.8 is more robust); Gelman, Gilks & Roberts 1997 (0.234)
MALA_ACCEPTANCE, HMC_ACCEPTANCE, RANDOM_WALK_ACCEPTANCE = 0.574, 0.75, 0.234


class State(NamedTuple):
    """Positions (n, d) with the target's log density (n,) and gradient (n, d) there."""

    position: Tensor
    log_density: Tensor
    gradient: Tensor


def start(position: Tensor, target: Target) -> State:
    return State(position, *target(position))


def langevin_step(state: State, target: Target, step: Tensor, noise: Tensor) -> State:
    """Unadjusted Langevin: x + step * gradient + sqrt(2 step) noise; step () or (n, 1)."""
    return start(state.position + step * state.gradient + (2 * step).sqrt() * noise, target)


def mala_step(state: State, target: Target, step: Tensor, noise: Tensor, uniform: Tensor) -> tuple[State, Tensor]:
    """Metropolis-adjusted Langevin step and its acceptance probabilities (n,); uniform (n,) decides.

    `uniform` = 0 refuses nothing but what has no probability at all. Roberts & Tweedie 1996,
    https://doi.org/10.2307/3318418
    """
    proposal = langevin_step(state, target, step, noise)
    backward = state.position - proposal.position - step * proposal.gradient
    log_ratio = proposal.log_density - state.log_density
    log_ratio = log_ratio - backward.square().sum(1) / (4 * step.view(-1)) + noise.square().sum(1) / 2
    chosen, acceptance = metropolis(log_ratio, uniform)
    return _either(chosen, proposal, state), acceptance


def leapfrog(
    state: State, momentum: Tensor, target: Target, step: Tensor, num_steps: int, root: Tensor | None = None
) -> tuple[State, Tensor]:
    """Hamilton's equations by the leapfrog rule: positions and momenta (n, d), one evaluation of the target a step.

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
    state: State,
    target: Target,
    step: Tensor,
    num_leapfrog: int,
    momentum: Tensor,
    uniform: Tensor,
    root: Tensor | None = None,
) -> tuple[State, Tensor]:
    """Hamiltonian Monte Carlo from standard normal `momentum` (n, d), and its acceptance probabilities (n,)."""
    proposal, final = leapfrog(state, momentum, target, step, num_leapfrog, root)
    log_ratio = proposal.log_density - state.log_density - (final.square() - momentum.square()).sum(1) / 2
    chosen, acceptance = metropolis(log_ratio, uniform)
    return _either(chosen, proposal, state), acceptance


def metropolis(log_ratio: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Which proposals are taken, and their acceptance probabilities, (n,) each; where nothing is finite none is."""
    acceptance = log_ratio.clamp_max(0).exp().nan_to_num(0.0)
    return uniform < acceptance, acceptance


def crank_nicolson(position: Tensor, scale: Tensor, noise: Tensor) -> Tensor:
    """sqrt(1 - scale^2) z + scale noise, reversible against N(0, I) for any scale in [0, 1].

    Cotter, Roberts, Stuart & White 2013, https://arxiv.org/abs/1202.0709
    """
    return (1 - scale.square()).sqrt() * position + scale * noise


def retempered(state: State, ratio: Tensor | float) -> State:
    """The state under the prior N(0, I) when its log likelihood is multiplied by `ratio`, () or (n,): no evaluation."""
    ratio = torch.as_tensor(ratio, dtype=state.position.dtype, device=state.position.device)
    prior = state.position.square().sum(1) / 2
    gradient = ratio.view(-1, 1) * (state.gradient + state.position) - state.position
    return State(state.position, ratio * (state.log_density + prior) - prior, gradient)


def _either(chosen: Tensor, new: State, old: State) -> State:
    return State(*(where_row(chosen, a, b) for a, b in zip(new, old, strict=True)))


def where_row(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows of `new` where `chosen` (n,), else of `old`."""
    return torch.where(chosen.view(-1, *[1] * (old.dim() - 1)), new, old)


def tamed_langevin_step(state: State, target: Target, step: Tensor, noise: Tensor) -> State:
    """Unadjusted Langevin whose drift is at most twice as long as its noise is on average.

    Where the gradient changes within one step a plain unadjusted chain is thrown out for good. In equilibrium the drift
    is shorter than the noise. After Brosse et al. 2019, https://arxiv.org/abs/1710.05559
    """
    drift, limit = step * state.gradient, 2 * (2 * step * noise.shape[1]).sqrt()
    drift = drift * (limit / drift.norm(dim=1, keepdim=True)).clamp_max(1)
    return start(state.position + drift + (2 * step).sqrt() * noise, target)


def adapted_step(step: Tensor, acceptance: Tensor, rate: float, goal: float = MALA_ACCEPTANCE) -> Tensor:
    """Robbins-Monro in log step towards acceptance `goal`; shapes of step and acceptance agree."""
    return step * torch.exp(rate * (acceptance - goal))


class DualAveraging(NamedTuple):
    """Step sizes while they adapt, as logarithms: of the next one, of the average that is kept, of where they began."""

    log_step: Tensor
    log_average: Tensor
    log_start: Tensor
    error: Tensor
    count: int

    @classmethod
    def begin(cls, step: Tensor) -> DualAveraging:
        return cls(step.log(), torch.zeros_like(step), step.log(), torch.zeros_like(step), 0)

    @property
    def kept(self) -> Tensor:
        """Logarithm of the step to go on with: the average, or the start where nothing was learnt."""
        return self.log_average if self.count else self.log_step

    def updated(self, acceptance: Tensor, goal: float) -> DualAveraging:
        """Towards acceptance `goal`; shapes of steps and acceptance agree.

        Hoffman & Gelman 2014, https://arxiv.org/abs/1111.4246, algorithm 5: gamma = 0.05, t_0 = 10, kappa = 0.75. Their
        mu, the log step that is drawn to, is where the steps began, not ten times as much: a good guess is asked for.
        """
        count = self.count + 1
        error = self.error + (goal - acceptance - self.error) / (count + 10)
        log_step = self.log_start - count**0.5 / 0.05 * error
        weight = count**-0.75
        log_average = weight * log_step + (1 - weight) * self.log_average
        return DualAveraging(log_step, log_average, self.log_start, error, count)


def next_temperature(log_likelihood: Tensor, beta: Tensor, ess_share: float) -> Tensor:
    """Largest beta' <= 1 at which the weights exp((beta' - beta) log_likelihood) keep `ess_share` of the particles.

    log_likelihood (m, n), beta (m,) -> (m,), by bisection, one temperature a measurement.
    """
    low, high = beta.clone(), torch.ones_like(beta)
    for _ in range(50):
        middle = (low + high) / 2
        log_weight = ((middle - beta)[:, None] * log_likelihood).log_softmax(1)
        enough = (-(2 * log_weight).logsumexp(1)).exp() >= ess_share * log_likelihood.shape[1]
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(high > 1 - 1e-9, torch.ones_like(high), low)


def systematic_resample(weights: Tensor, uniform: Tensor) -> Tensor:
    """Indices (m, n) of n particles resampled with weights (m, n), uniform (m,) in [0, 1)."""
    n = weights.shape[1]
    points = (torch.arange(n, dtype=weights.dtype, device=weights.device) + uniform[:, None]) / n
    return torch.searchsorted(weights.cumsum(1), points).clamp_max(n - 1)
