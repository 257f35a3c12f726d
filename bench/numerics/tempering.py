"""Particles of several measurements under prior times likelihood to a power, and Hamiltonian moves that keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.numerics import mcmc

SHORTEST = 0.1  # jittered step, as a share of the adapted one


class Tempered(NamedTuple):
    """n particles of each of m measurements; prior and likelihood are kept apart, so a new power costs no evaluation.

    position (m, n, D), log_prior and log_likelihood (m, n), and their gradients in position (m, n, D).
    """

    position: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    prior_gradient: Tensor
    likelihood_gradient: Tensor

    def log_density(self, beta: Tensor) -> Tensor:
        """Return log p(position) + beta log p(y | position), (m, n), for powers beta (m,)."""
        return self.log_prior + beta[:, None] * self.log_likelihood

    def gradient(self, beta: Tensor) -> Tensor:
        """Return the gradient of `log_density`, (m, n, D)."""
        return self.prior_gradient + beta[:, None, None] * self.likelihood_gradient

    def of(self, which: Tensor) -> Tempered:
        """Return the particles of the chosen measurements, a mask or an index (k,)."""
        return Tempered(*(part[which] for part in self))

    def gather(self, index: Tensor) -> Tempered:
        """Return particles index (m, k) of each measurement."""
        row = torch.arange(len(index), device=index.device)[:, None]
        return Tempered(*(part[row, index] for part in self))


# positions (m, n, D) -> the state there
Evaluate = Callable[[Tensor], Tempered]


class Numbers(NamedTuple):
    """Random numbers of a move: momentum (m, n, D), normal; jitter and decision (m, n), uniform in [0, 1)."""

    momentum: Tensor
    jitter: Tensor
    decision: Tensor


def hmc_move(
    state: Tempered,
    evaluate: Evaluate,
    beta: Tensor,
    step: Tensor,
    root: Tensor,
    num_leapfrog: int,
    numbers: Numbers,
) -> tuple[Tempered, Tensor]:
    """Move all particles by one Hamiltonian trajectory; also return the acceptance probabilities, (m, n).

    beta and step (m,); root (m, D, D) as in `mcmc.leapfrog`. Steps are jittered down to a tenth: otherwise a particle
    in a narrow mode might refuse every move, and only leave copies of itself.
    """
    size = step[:, None, None] * (1 - (1 - SHORTEST) * numbers.jitter.square())[..., None]
    proposal, momentum = state, numbers.momentum
    for _ in range(num_leapfrog):
        momentum = momentum + size / 2 * (proposal.gradient(beta) @ root)
        proposal = evaluate(proposal.position + (size * momentum) @ root.mT)
        momentum = momentum + size / 2 * (proposal.gradient(beta) @ root)
    kinetic = (momentum.square() - numbers.momentum.square()).sum(2) / 2
    log_ratio = proposal.log_density(beta) - state.log_density(beta) - kinetic
    chosen, acceptance = mcmc.metropolis(log_ratio, numbers.decision)
    pairs = zip(proposal, state, strict=True)
    return Tempered(
        *(
            torch.where(chosen if new.dim() == 2 else chosen[..., None], new, old)
            for new, old in pairs
        )
    ), acceptance


def root_of_metric(position: Tensor, gradient: Tensor) -> Tensor:
    """Return R (m, D, D) with R R^T = the geometric mean of C = cov(z) and G^-1, G = E[g g^T], g the gradient.

    position and gradient (m, n, D); a little of the identity is added to C and G.

    For a normal density, C and G^-1 both equal its covariance. For others, C is dominated by the distance of modes and
    G^-1 by the narrowest mode, and with few particles their errors have opposite signs.
    """
    covariance = _regular(_second_moment(position - position.mean(1, keepdim=True)))
    curvature = _regular(_second_moment(gradient))
    factor = torch.linalg.cholesky(covariance)
    # C # G^-1 = L (L^T G L)^(-1/2) L^T
    values, vectors = torch.linalg.eigh(factor.mT @ curvature @ factor)
    return factor @ (vectors * values.clamp_min(1e-12).pow(-0.25)[:, None, :])


def _second_moment(x: Tensor) -> Tensor:
    return x.mT @ x / x.shape[1]


def _regular(matrix: Tensor) -> Tensor:
    """Return matrices (m, D, D) with 1e-6 of their trace added to the diagonal."""
    trace = matrix.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    return matrix + (1e-6 * trace + 1e-12) * torch.eye(matrix.shape[1]).to(matrix)
