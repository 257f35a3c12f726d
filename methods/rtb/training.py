"""Losses: single steps against paths noised from images (forward KL), then the balance of whole paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.core.types import Random

from .chain import Chain, Path

if TYPE_CHECKING:
    from . import RTB


@dataclass(frozen=True)
class Training:
    """The training of one chain, in place, on measurements simulated from images x (n, *x). rng: of one stream."""

    method: RTB
    chain: Chain
    x: Tensor
    rng: Random

    def loss_at(self, i: int) -> Tensor:
        """Return the loss of iteration i, ()."""
        warm = i < self.method.warm_start * self.method.num_iterations
        return self.pairs_loss() if warm else self.balance_loss()

    def simulated(self, num: int) -> tuple[Tensor, Tensor]:
        """Return flat images (num, d) and measurements of them (num, *y)."""
        images = self.x[self.rng.randint(len(self.x), (num,))[0]]
        return images.flatten(1), self.chain.problem.simulate(images, self.rng)

    def pairs_loss(self) -> Tensor:
        """Return the cross-entropy, less a constant, of random steps towards the x that made y."""
        chain, (x, y) = self.chain, self.simulated(self.method.num_pairs)
        level = self.rng.randint(len(chain.kept), (len(x),))[0]
        state = x + chain.sigmas[level, None] * self.rng.randn(tuple(x.shape))[0]
        with torch.no_grad():
            denoised = chain.denoise(state, level)
            shift = chain.shift(denoised, level, y)
        wanted = ((1 - chain.kept) / chain.std)[level, None] * (x - denoised)
        moved = chain.control(state, denoised, shift, level, chain.seen(y))
        return (wanted - moved).square().mean() / 2

    def balance_loss(self) -> Tensor:
        """Return Huber's loss of the imbalance of paths, less its mean over the paths of each measurement."""
        imbalance = self.imbalance()
        error = imbalance - imbalance.mean(1, keepdim=True)
        huber = torch.nn.functional.huber_loss
        return huber(error, torch.zeros_like(error), delta=self.method.huber)

    def imbalance(self) -> Tensor:
        """Return the imbalance of groups of paths, (k, g): one noised from the x that made y, the others drawn."""
        method, chain, (x, y) = self.method, self.chain, self.simulated(self.method.num_groups)
        dim, num_drawn = x.shape[1], method.group_size - 1
        noise = self.rng.randn((len(x), method.num_steps, dim))[0]
        known = chain.noised(x, y, noise)
        rows = y.repeat_interleave(num_drawn, 0)
        noises = self.rng.steps(method.num_steps, (len(rows), dim))
        drawn = chain.rollout(rows, (noise[0] for noise in noises))
        parts = zip(known, drawn, strict=True)
        groups = (torch.cat([a[:, None], b.unflatten(0, (len(x), num_drawn))], 1) for a, b in parts)
        path = Path(*(group.flatten(0, 1) for group in groups))
        rows = y.repeat_interleave(method.group_size, 0)
        return chain.imbalance(path, rows).view(len(x), -1)
