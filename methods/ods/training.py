"""Algorithm 1: trajectory balance on the sampler's own paths, and on paths noised back from a buffer of their ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from bench.core.types import Random
from bench.numerics.training import Descent, minimise

from . import trajectory
from .outsourced import Outsourced, path_noise

if TYPE_CHECKING:
    from . import ODS

LOG_Z_SCALE = 10.0  # nats

# n -> y (n, *y) and, if simulated, the u that made them
Measurements = Callable[[int], tuple[Tensor, Tensor | None]]
# y (*y), ends of paths u (g, d), log likelihoods of the ends (g,)
Group = tuple[Tensor, Tensor, Tensor]


class Batch(NamedTuple):
    """Measurements y (k, *y), g paths (k g, T + 1, d) and the guide's pulls (k g, T, d) for each, rewards (k, g)."""

    y: Tensor
    path: Tensor
    pulls: Tensor
    reward: Tensor


@dataclass(frozen=True)
class Training:
    """The training of one sampler, in place. rng: of one stream."""

    method: ODS
    trained: Outsourced
    measurements: Measurements
    rng: Random
    buffer: deque[Group] = field(default_factory=deque)

    @cached_property
    def dim(self) -> int:
        return len(self.trained.sampler.curvature)

    @cached_property
    def num_warm(self) -> int:
        return self.method.num_warm(self.trained.prior)

    def run(self, start: Sequence[Group]) -> None:
        """Train the sampler, then its student; start: groups that the buffer holds at first."""
        method, trained = self.method, self.trained
        self.buffer.extend(start)
        parameters = [
            *trained.sampler.policy.parameters(),
            *(trained.log_z.parameters() if trained.log_z else []),
        ]
        minimise(self._loss_at, self._descent(parameters, method.num_iterations))
        if trained.student is not None:
            parameters = list(trained.student.parameters())
            minimise(self._student_loss_at, self._descent(parameters, method.distil_steps))

    def _descent(self, parameters: list[torch.nn.Parameter], num_steps: int) -> Descent:
        """Return Adam at a rate that rises over the first twentieth of the steps, and then falls to zero."""

        def rate(progress: float) -> float:
            return self.method.learning_rate * min(1.0, 0.05 + 20 * progress) * (1 - progress**2)

        return Descent(torch.optim.Adam(parameters), num_steps, rate, self.method.max_gradient)

    def _loss_at(self, i: int) -> Tensor:
        """Return the loss of iteration i, on-policy once in `replays + 1`."""
        method, progress, num_warm = self.method, i / self.method.num_iterations, self.num_warm
        if i < num_warm:
            return self._pairs_loss()
        rising = progress < method.anneal and not num_warm
        beta = method.beta_start ** (1 - progress / method.anneal) if rising else 1.0
        on_policy = (i - num_warm) % (method.replays + 1) == 0
        batch = self._on_policy(beta) if on_policy else self._replayed(beta)
        features = self.trained.reading(batch.y)
        of_paths = features.repeat_interleave(method.group_size, 0)
        log_ratio = self.trained.sampler.log_ratio(batch.path, batch.pulls, of_paths, beta).view_as(
            batch.reward
        )
        return self._balance_loss(log_ratio, beta * batch.reward, features, first=i == num_warm)

    def _pairs_loss(self) -> Tensor:
        """Return the cross-entropy of random steps of paths noised back from the u that made y (forward KL)."""
        method, sampler = self.method, self.trained.sampler
        y, u = self.measurements(method.batch)
        assert u is not None
        step = self.rng.randint(method.num_steps, (len(u),))[0]
        z, law = trajectory.bridge(u, step, sampler.schedule, path_noise(self.rng, *u.shape))
        pull = sampler.pull(z, step, y, 1.0)
        kernel = sampler.kernel(z, step, pull, self.trained.reading(y), 1.0)
        return trajectory.cross_entropy(law, kernel).mean()

    def _on_policy(self, beta: float) -> Batch:
        """Draw paths of the sampler; the first of each measurement is noised back from the u that made y."""
        method, sampler = self.method, self.trained.sampler
        y, u = self.measurements(method.num_groups)
        rows = y.repeat_interleave(method.group_size, 0)
        noise = path_noise(self.rng, method.batch, method.num_steps + 1, self.dim)
        path, pulls = sampler.rollout(rows, self.trained.reading(rows), noise, beta)
        if u is not None:
            noise = path_noise(self.rng, len(y), method.num_steps, self.dim)
            known = trajectory.noise_backwards(u, sampler.schedule, noise)
            path[:: method.group_size], pulls[:: method.group_size] = (
                known,
                sampler.pulls(known, y, beta),
            )
        reward = self.trained.reward(path[:, -1], rows).view(len(y), -1)
        self._remember(y, path[:, -1].unflatten(0, reward.shape), reward)
        return Batch(y, path, pulls, reward)

    def _remember(self, y: Tensor, ends: Tensor, reward: Tensor) -> None:
        """Put y (k, *y), ends (k, g, d) and their rewards (k, g) into the buffer; the oldest groups leave it."""
        self.buffer.extend(zip(y, ends, reward, strict=True))
        while len(self.buffer) > max(1, self.method.num_buffered // self.method.group_size):
            self.buffer.popleft()

    def _replayed(self, beta: float) -> Batch:
        """Draw groups from the buffer, and paths noised back from their ends."""
        method, sampler = self.method, self.trained.sampler
        chosen = self.rng.randint(len(self.buffer), (method.num_groups,))[0].tolist()
        y, ends, reward = (
            torch.stack(part) for part in zip(*(self.buffer[j] for j in chosen), strict=True)
        )
        noise = path_noise(self.rng, method.batch, method.num_steps, self.dim)
        path = trajectory.noise_backwards(ends.flatten(0, 1), sampler.schedule, noise)
        return Batch(
            y, path, sampler.pulls(path, y.repeat_interleave(method.group_size, 0), beta), reward
        )

    def _balance_loss(
        self, log_ratio: Tensor, reward: Tensor, features: Tensor, first: bool
    ) -> Tensor:
        """Return Huber's loss of the balance; log_ratio and reward (k, g), features (k, num_features)."""
        log_z_net = self.trained.log_z
        if log_z_net is None:
            # one measurement has one log Z
            groups = (len(features) if self.method.amortised else 1, -1)
            error = trajectory.balance(log_ratio.view(groups), reward.view(groups))
        else:
            if first:  # start near the right value, so that the network only learns the rest
                log_z_net.out.bias.data.fill_((reward - log_ratio).mean() / LOG_Z_SCALE)
            log_z = LOG_Z_SCALE * log_z_net(features, features.new_zeros(len(features)))[:, 0]
            error = trajectory.balance(log_ratio, reward, log_z)
        return trajectory.huber(error, self.method.huber).mean()

    def _student_loss_at(self, i: int) -> Tensor:
        """Return the student's error against the end of the sampler's deterministic flow from z_0, appendix C.1."""
        sampler = self.trained.sampler
        student = self.trained.student
        y = self.measurements(self.method.batch)[0]
        assert student is not None
        z, features = path_noise(self.rng, self.method.batch, self.dim), self.trained.reading(y)
        error = student(z, y, features, sampler) - sampler.flow(z, y, features)
        return (error.square() * (1 + sampler.curvature)).mean()
