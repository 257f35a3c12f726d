"""`gan`: a generator trained with a relativistic loss and gradient penalties on real and on generated images.

Huang et al., The GAN is dead; long live the GAN!, NeurIPS 2024. https://arxiv.org/abs/2501.05441
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Prior, Random
from bench.numerics.nets import flatten_state
from bench.priors import _networks as networks
from bench.priors._generator import Generator, generator_network

__all__ = ["GANFamily"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class GANFamily:
    """A generator and a critic of centred images, both multilayer perceptrons."""

    num_latents: int = 16  # length of z
    width: int = 192  # units of a hidden layer
    depth: int = 3  # hidden layers
    num_iterations: int = 2500  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 1e-3  # of Adam, warmed up and then lowered to zero
    penalty: float = 0.3  # twice the weight of the critic's squared gradients
    ema_decay: float = 0.995  # decay of the running average of the weights, which is the result

    tiny: ClassVar[Mapping[str, object]] = {"width": 8, "num_iterations": 3}  # for tests

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return mean and generator."""
        rng = Rng(("fit", "gan"), (0,), dtype=torch.float32)
        mean = data["train"].mean(0)
        flat = (data["train"] - mean).flatten(1)
        generator = networks.new(lambda: generator_network(flat.shape[1], self), rng)
        # LeakyReLU is piecewise linear, so that the critic's gradient is cheap to differentiate
        critic = networks.new(
            lambda: networks.mlp(flat.shape[1], 1, self.width, self.depth, nn.LeakyReLU), rng
        )
        generator = play(generator, critic, flat, self, rng)
        card = {"num_parameters": networks.num_parameters(generator)}
        return {"mean": mean} | flatten_state(generator, "generator"), card

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Generator:
        """Return the prior with the stored tensors."""
        return Generator.restored(tensors, "generator", self)


@torch.enable_grad()
def play(
    generator: nn.Module, critic: nn.Module, images: Tensor, settings: GANFamily, rng: Random
) -> nn.Module:
    """Train generator and critic on images (N, D); return the running average of the generator."""
    n = settings.batch_size
    shared = (settings.num_iterations, settings.learning_rate, settings.ema_decay, (0.0, 0.99))
    critics, generators = networks.Descent(critic, *shared), networks.Descent(generator, *shared)
    for _ in range(settings.num_iterations):
        made = generator(rng.randn((n, settings.num_latents))[0]).detach()
        critics.step(critic_loss(critic, networks.batch(images, n, rng), made, settings.penalty))
        made = generator(rng.randn((n, settings.num_latents))[0])
        generators.step(softplus(critic(networks.batch(images, n, rng)) - critic(made)).mean())
    return generators.average


def critic_loss(critic: nn.Module, real: Tensor, made: Tensor, penalty: float) -> Tensor:
    """Return softplus(critic(made) - critic(real)), with `penalty` / 2 times its squared gradients at both."""
    real, made = real.requires_grad_(), made.requires_grad_()
    score_real, score_made = critic(real), critic(made)
    gradients = torch.autograd.grad(
        score_real.sum() + score_made.sum(), (real, made), create_graph=True
    )
    squared = sum(gradient.square().sum(1) for gradient in gradients)
    return (softplus(score_made - score_real)[:, 0] + penalty / 2 * squared).mean()
