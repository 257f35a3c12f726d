"""The posterior in the noise space of a decoder x = f(z): p(z | y) proportional to N(z; 0, I) p(y | f(z))."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.types import Prior, Problem


def log_likelihood(prior: Prior, problem: Problem, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(y | f(z)) up to a constant, (n,), and its gradient in z, (n, d); y (n, *y), flat z (n, d)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = problem.log_likelihood(prior.decode(z.unflatten(1, prior.latent_shape)), y)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def log_posterior(prior: Prior, problem: Problem, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(z | y) up to a constant, (n,), and its gradient in z, (n, d)."""
    value, gradient = log_likelihood(prior, problem, y, z)
    return value - z.square().sum(1) / 2, gradient - z
