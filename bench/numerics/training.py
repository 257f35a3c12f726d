"""The training loop: an optimiser minimises losses, with learning rates that follow a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Schedule = Callable[[float], float]  # share of the steps that are done, in [0, 1) -> learning rate


class Descent:
    """Steps of an optimiser with one group of parameters, each on a loss that the caller gives.

    max_gradient: norm to which the gradient of all parameters together is cut; None leaves it.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        num_steps: int,
        schedule: Schedule,
        max_gradient: float | None = None,
    ) -> None:
        self.optimiser, self.num_steps, self.schedule = optimiser, num_steps, schedule
        self.max_gradient, self.num_done = max_gradient, 0

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss` ()."""
        (group,) = self.optimiser.param_groups
        group["lr"] = self.schedule(self.num_done / self.num_steps)
        self.optimiser.zero_grad()
        loss.backward(inputs=group["params"])
        if self.max_gradient is not None:
            nn.utils.clip_grad_norm_(group["params"], self.max_gradient)
        self.optimiser.step()
        self.num_done += 1


def minimise(
    loss_at: Callable[[int], Tensor],
    descent: Descent,
    watch: Callable[[range], Iterable[int]] = iter,
) -> None:
    """Take all steps of a descent; `loss_at(i)` is the loss () of step i, `watch` wraps the steps to show progress."""
    for i in watch(range(descent.num_steps)):
        with torch.enable_grad():
            descent.step(loss_at(i))


def falling_cosine(learning_rate: float, num_steps: int) -> Schedule:
    """Return a schedule that falls to zero like half a cosine.

    Each rate is the last one times a ratio, as in torch's CosineAnnealingLR: published weights depend on that rounding.
    """
    rates = [learning_rate]
    for i in range(1, num_steps):
        ratio = (1 + math.cos(math.pi * i / num_steps)) / (
            1 + math.cos(math.pi * (i - 1) / num_steps)
        )
        rates.append(ratio * rates[-1])
    return lambda progress: rates[round(progress * num_steps)]
