"""A method whose network calls are known: gradient steps on the residual of a denoised image."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Descent:
    """Two denoiser calls a step, the second one without a gradient."""

    num_steps: int = 4

    def sample(self, prior, problem, y, num_samples, *, rng):
        rows = y.repeat_interleave(num_samples, 0)
        x_t, sigma = rng.per_sample.randn(prior.shape).flatten(0, 1), torch.tensor(0.5)
        for _ in range(self.num_steps):
            x_t = x_t.detach().requires_grad_()
            residual = problem.residual(prior.denoise(x_t, sigma), rows)
            (gradient,) = torch.autograd.grad(residual.square().sum(), x_t)
            x_t = prior.denoise(x_t.detach() - 0.1 * gradient, sigma)
        return x_t.unflatten(0, (len(y), num_samples))
