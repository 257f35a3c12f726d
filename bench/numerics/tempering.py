"""Particles of several measurements under prior times likelihood to a power, and Hamiltonian moves that keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.numerics import mcmc

SHORTEST = 0.1  # of the jittered steps, over the adapted one


class Tempered(NamedTuple):
    """n particles of each of m measurements; prior and likelihood apart, so that a new power costs no evaluation.

    position (m, n, D), log_prior and log_likelihood (m, n), their gradients by position (m, n, D).
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
    """What a move draws: momentum (m, n, D), and uniform in [0, 1), (m, n): for the jitter and for the decision."""

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

    beta and step (m,), root (m, D, D) as `mcmc.leapfrog` has it. Steps are jittered down to a tenth: a particle in a
    narrow mode that refused every move would leave nothing but copies of itself.
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

    Both are the covariance of a normal p; of others C is ruled by how modes lie apart and G^-1 by the narrowest, and
    with few particles their errors are opposite.
    position and gradient (m, n, D); a little of the identity is added to both.
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
