"""`vae`: a variational autoencoder with a learned noise level per pixel; its decoder gives the mean of x given z.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014. https://arxiv.org/abs/1312.6114
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.numerics.nets import flatten_state
from bench.priors import _networks as networks
from bench.priors._generator import Generator, generator_network

__all__ = ["VAEFamily"]

Tensors = dict[str, Tensor]


class VAE(nn.Module):
    """Encoder, decoder and the logarithm of each pixel's noise."""

    def __init__(self, num_pixels: int, settings: VAEFamily) -> None:
        super().__init__()
        self.encoder = networks.mlp(
            num_pixels, 2 * settings.num_latents, settings.width, settings.depth
        )
        self.decoder = generator_network(num_pixels, settings)
        self.log_noise = nn.Parameter(torch.zeros(num_pixels))

    def negative_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return a bound on -log p(x) in nats, averaged over x (n, D), with one z each from noise (n, num_latents)."""
        mean, log_std = self.encoder(x).chunk(2, 1)
        error = (x - self.decoder(mean + log_std.exp() * noise)) / self.log_noise.exp()
        misfit = (error.square() + math.log(2 * math.pi)).sum(1) / 2 + self.log_noise.sum()
        divergence = ((mean.square() + (2 * log_std).exp() - 1) / 2 - log_std).sum(1)
        return (misfit + divergence).mean()


@dataclass(frozen=True)
class VAEFamily:
    """An autoencoder of centred images; encoder and decoder are multilayer perceptrons."""

    num_latents: int = 16  # length of z
    width: int = 128  # units of a hidden layer
    depth: int = 2  # hidden layers
    num_iterations: int = 3500  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 2e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # decay of the running average of the weights, which is the result

    tiny: ClassVar[Mapping[str, object]] = {"width": 8, "num_iterations": 3}  # for tests

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return mean and decoder; the card has bounds on the negative log likelihood in nats."""
        rng = Rng(("fit", "vae"), (0,), dtype=torch.float32)
        mean = data["train"].mean(0)
        flat = (data["train"] - mean).flatten(1)
        vae = networks.new(lambda: VAE(flat.shape[1], self), rng, zero=("log_noise",))

        def loss() -> Tensor:
            x = networks.batch(flat, self.batch_size, rng)
            return vae.negative_elbo(x, rng.randn((len(x), self.num_latents))[0])

        vae = networks.minimise(vae, loss, self.num_iterations, self.learning_rate, self.ema_decay)

        def elbo(x: Tensor) -> float:
            noise = Rng(("card", "vae"), (0,), dtype=torch.float32).randn(
                (len(x), self.num_latents)
            )[0]
            return vae.negative_elbo(x, noise).item()

        card = {
            "num_parameters": networks.num_parameters(vae.decoder),
            "negative_elbo_nats": {
                "train": elbo(flat),
                "test": elbo((data["test"] - mean).flatten(1)),
            },
            "pixel_noise_rms": vae.log_noise.exp().square().mean().sqrt().item(),
        }
        return {"mean": mean} | flatten_state(vae.decoder, "decoder"), card

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Generator:
        """Return the prior with the stored tensors."""
        return Generator.restored(tensors, "decoder", self)
