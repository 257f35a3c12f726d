"""A generator as a prior: an image in one pass through a network, x = mean + net(z)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from bench.core.types import Cap, Random
from bench.priors import _networks as networks


@dataclass(frozen=True, eq=False)
class Generator:
    """`network` (n, latent size) -> (n, size of an image), float32; `mean` (*x) is the mean of the training images."""

    network: nn.Module
    mean: Tensor
    num_latents: int

    caps: ClassVar[Cap] = Cap.DECODER
    sigma_range: ClassVar[tuple[float, float]] = (0.0, 0.0)  # no denoiser
    decode_nfe: ClassVar[int] = 1
    sample_nfe: ClassVar[int] = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.num_latents,)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def decode(self, z: Tensor) -> Tensor:
        """Return x = f(z), (n, *z) -> (n, *x)."""
        return (self.network(z.float()).view(-1, *self.shape) + self.mean).to(z.dtype)
