"""A generator as a prior, for the families `gan` and `vae`: one pass through a network, x = mean + net(z)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from bench.core.types import Cap, Random
from bench.priors import _networks as networks


class Size(Protocol):
    """Parameters of a family that set the size of its network."""

    @property
    def num_latents(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...


def generator_network(num_pixels: int, size: Size) -> nn.Sequential:
    """Return a multilayer perceptron (n, num_latents) -> (n, num_pixels)."""
    return networks.mlp(size.num_latents, num_pixels, size.width, size.depth)


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

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], prefix: str, size: Size) -> Generator:
        """Return the generator with the stored `mean` and the network's weights under `prefix`."""
        mean = tensors["mean"].float()
        network = networks.restored(lambda: generator_network(mean.numel(), size), tensors, prefix)
        return cls(network, mean, size.num_latents)

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
