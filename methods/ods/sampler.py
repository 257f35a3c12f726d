"""A diffusion sampler with Gaussian steps around a guide's: its paths, their densities, and its flow without noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.numerics.nets import MLP

from .trajectory import (
    Kernel,
    Schedule,
    flow_step,
    forward_kernel,
    noised_precision,
    reference_kernel,
)

TABLE_GAIN = 10.0  # factor on tables, for which Adam's steps would otherwise be too small


class Policy(nn.Module):
    """Corrections to a guide's pull and precision; with all parameters at zero there are none.

    The network sees the measurement through `features` (n, num_features) alone.
    """

    ends: ClassVar[tuple[str, ...]] = ("net.out", "gain", "sharpness")  # zero at the start

    def __init__(
        self, num_steps: int, dim: int, num_features: int, width: int, num_layers: int
    ) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.net = MLP(2 * dim + num_features, dim, width, num_layers)
        self.gain = nn.Parameter(torch.zeros(num_steps, dim))
        self.sharpness = nn.Parameter(torch.zeros(num_steps, dim))

    def forward(
        self, z: Tensor, step: Tensor, pull: Tensor, precision: Tensor, features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return corrected pull and precision (n, d) at states z (n, d) of steps `step` (n,) int64."""
        scale = precision.sqrt()
        inputs, time = torch.cat([z, pull / scale, features], 1), step.to(z.dtype) / self.num_steps
        pull = pull * (TABLE_GAIN * self.gain[step]).exp() + scale * self.net(inputs, time)
        return pull, precision * (TABLE_GAIN * self.sharpness[step]).exp()


@dataclass(frozen=True, eq=False)
class Sampler:
    """p_F of a policy in d dimensions, for rows with measurements y (n, *y) and their features (n, num_features).

    gradient: of the log likelihood at z (n, d), None without a guide. curvature (d,): of the log likelihood, diagonal.
    Where the likelihood is normal with that curvature, the guide's steps are exact.
    """

    policy: Policy
    schedule: Schedule
    curvature: Tensor
    gradient: Callable[[Tensor, Tensor], Tensor] | None

    @property
    def num_steps(self) -> int:
        return len(self.schedule.variance)

    def pull(self, z: Tensor, step: Tensor, y: Tensor, beta: float) -> Tensor:
        """Return precision times mean of the next state under the guide, linearised at the prior's prediction."""
        if self.gradient is None:
            return torch.zeros_like(z)
        before, after = self.schedule.before[step, None], self.schedule.after[step, None]
        predicted, curvature = before.sqrt() * z, beta * self.curvature
        likelihood = beta * self.gradient(predicted, y) + curvature * predicted
        return after.sqrt() * likelihood / (1 + (1 - after) * curvature)

    def pull_at_zero(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the likelihood's gradient where all coordinates are zero, shaped like z (n, d)."""
        zeros = torch.zeros_like(z)
        return zeros if self.gradient is None else self.gradient(zeros, y)

    def precision(self, step: Tensor, beta: float) -> Tensor:
        return noised_precision(beta * self.curvature, self.schedule.after[step, None])

    def kernel(
        self, z: Tensor, step: Tensor, pull: Tensor, features: Tensor, beta: float
    ) -> Kernel:
        pull, precision = self.policy(z, step, pull, self.precision(step, beta), features)
        return forward_kernel(z, self.schedule.variance[step, None], pull, precision)

    @torch.no_grad()
    def end(self, y: Tensor, features: Tensor, u: Tensor, noise: Iterable[Tensor]) -> Tensor:
        """Return the ends (n, d) of paths from u (n, d), one noise (n, d) a step; only the last state is held."""
        for i, noise_i in enumerate(noise):
            step = torch.full((len(u),), i, device=u.device)
            kernel = self.kernel(u, step, self.pull(u, step, y, 1.0), features, 1.0)
            u = kernel.mean + kernel.std * noise_i
        return u

    @torch.no_grad()
    def rollout(
        self, y: Tensor, features: Tensor, noise: Tensor, beta: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return paths (n, T + 1, d) from noise (n, T + 1, d), and the guide's pulls along them (n, T, d)."""
        path, pulls = [noise[:, 0]], []
        for i in range(self.num_steps):
            step = torch.full((len(noise),), i, device=noise.device)
            pulls.append(self.pull(path[-1], step, y, beta))
            kernel = self.kernel(path[-1], step, pulls[-1], features, beta)
            path.append(kernel.mean + kernel.std * noise[:, i + 1])
        return torch.stack(path, 1), torch.stack(pulls, 1)

    def pulls(self, path: Tensor, y: Tensor, beta: float = 1.0) -> Tensor:
        """Return the guide's pulls along given paths (n, T + 1, d), (n, T, d)."""
        steps, rows = self._steps(len(path)), y.repeat_interleave(self.num_steps, 0)
        return self.pull(path[:, :-1].flatten(0, 1), steps, rows, beta).view_as(path[:, 1:])

    def log_ratio(self, path: Tensor, pulls: Tensor, features: Tensor, beta: float = 1.0) -> Tensor:
        """Return log p_F - log q of whole paths, (n,)."""
        steps = self._steps(len(path))
        here = path[:, :-1].flatten(0, 1)
        there = path[:, 1:].flatten(0, 1)
        features = features.repeat_interleave(self.num_steps, 0)
        kernel = self.kernel(here, steps, pulls.flatten(0, 1), features, beta)
        reference = reference_kernel(here, self.schedule.variance[steps, None])
        return (
            (kernel.log_prob(there) - reference.log_prob(there))
            .unflatten(0, (len(path), self.num_steps))
            .sum(1)
        )

    @torch.no_grad()
    def flow(self, z: Tensor, y: Tensor, features: Tensor) -> Tensor:
        """Map z_0 to z_T, (n, d), without noise."""
        precision = torch.ones_like(z)
        for i in range(self.num_steps):
            step = torch.full((len(z),), i, device=z.device)
            variance = self.schedule.variance[i]
            pull = self.pull(z, step, y, 1.0)
            pull, next_precision = self.policy(z, step, pull, self.precision(step, 1.0), features)
            kernel = forward_kernel(z, variance, pull, next_precision)
            z, precision = flow_step(z, kernel, variance, precision, next_precision), next_precision
        return z

    def _steps(self, num_paths: int) -> Tensor:
        return torch.arange(self.num_steps, device=self.curvature.device).repeat(num_paths)


class Student(nn.Module):
    """The map z_0 -> z_T at once: the normal approximation of the whole posterior, corrected by a network."""

    ends: ClassVar[tuple[str, ...]] = ("net.out",)

    def __init__(self, dim: int, num_features: int, width: int, num_layers: int) -> None:
        super().__init__()
        self.net = MLP(2 * dim + num_features, dim, width, num_layers)

    def forward(self, z: Tensor, y: Tensor, features: Tensor, teacher: Sampler) -> Tensor:
        precision, at_zero = 1 + teacher.curvature, teacher.pull_at_zero(z, y)
        scale = precision.rsqrt()
        inputs = torch.cat([z, at_zero * scale, features], 1)
        return at_zero / precision + scale * (z + self.net(inputs, torch.zeros_like(z[:, 0])))
