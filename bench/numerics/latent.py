"""The posterior in the noise space of a decoder x = f(z): p(z | y) proportional to N(z; 0, I) p(y | f(z))."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.core.types import Prior, Problem
from bench.numerics.mcmc import Target


def log_likelihood(prior: Prior, problem: Problem, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(y | f(z)) up to a constant, (n,), and its gradient by z, (n, d): y (n, *y), flat z (n, d)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = problem.log_likelihood(prior.decode(z.unflatten(1, prior.latent_shape)), y)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def log_posterior(prior: Prior, problem: Problem, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(z | y) up to a constant, (n,), and its gradient by z, (n, d)."""
    value, gradient = log_likelihood(prior, problem, y, z)
    return value - z.square().sum(1) / 2, gradient - z


def curvature(target: Target, z: Tensor, direction: Tensor, num_iterations: int, m: int) -> Tensor:
    """Largest curvature of a log likelihood by power iteration, (n, 1): its median over a measurement's n / m chains.

    Some chains start on the border of two modes, where the curvature means nothing. num_iterations + 1 evaluations, or
    none at all for num_iterations = 0, which takes the curvature as zero.
    """
    if num_iterations == 0:
        return torch.zeros_like(z[:, :1])
    gradient, distance = target(z)[1], 0.05
    for _ in range(num_iterations):
        direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
        direction = (target(z + distance * direction)[1] - gradient) / distance
    return per_measurement(direction.norm(dim=1), m, lambda values, dim: values.median(dim).values)


def per_measurement(values: Tensor, m: int, reduce: Callable[..., Tensor]) -> Tensor:
    """One value (n, 1) for all chains of a measurement, from one per chain (n,)."""
    chains = len(values) // m
    return reduce(values.unflatten(0, (m, chains)), dim=1).repeat_interleave(chains)[:, None]
