"""`wrapped`: a foreign decoder, x = f(z) with z standard normal, that a Python file of the user opens.

The file has a function `load(weights, latent_shape, shape)` that returns a module from z (n, *latent_shape) to images
(n, *shape) in [-1, 1]. It runs with your rights: read a file of others before you use it. docs/papers.md shows one for
StyleGAN3.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.core.artefacts import Json, write_bytes
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap, Prior, Random
from bench.priors import _networks as networks
from bench.priors._card import write_picture

__all__ = ["WrappedFamily"]

Tensors = dict[str, Tensor]
STUB = "stub"  # replaces a file by a small network with random weights


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A decoder; `network` maps (n, *latent_shape) -> (n, *shape), float32."""

    network: nn.Module
    latent_shape: tuple[int, ...]
    shape: tuple[int, ...]
    decode_nfe: int

    caps: ClassVar[Cap] = Cap.DECODER
    sigma_range: ClassVar[tuple[float, float]] = (0.0, 0.0)  # no denoiser

    @property
    def sample_nfe(self) -> int:
        return self.decode_nfe

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng, rows_per_chunk=16)

    def decode(self, z: Tensor) -> Tensor:
        """Return x = f(z), (n, *z) -> (n, *x)."""
        return self.network(z.float()).to(z.dtype)


@dataclass(frozen=True)
class WrappedFamily:
    """A decoder that a Python file of the user opens."""

    file: str  # Python file with `load`, or stub: a small network with random weights
    weights: str = ""  # argument of `load`, such as the path of a file
    latent_shape: tuple[int, ...] = (512,)  # shape of z
    num_calls: int = 1  # network calls per decoded image

    tiny: ClassVar[Mapping[str, object]] = {"file": STUB, "latent_shape": (4,)}  # for tests

    def __post_init__(self) -> None:
        object.__setattr__(self, "latent_shape", tuple(self.latent_shape))  # a list in a suite
        if not self.latent_shape or min(self.latent_shape) < 1 or self.num_calls < 1:
            raise ValueError(
                f"latent_shape = {self.latent_shape}, num_calls = {self.num_calls}: expected counts"
            )

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Keep a copy of the file with the prior; raise UserError unless it makes images of the data set's size."""
        path = (
            Path(__file__).with_name("_stub_decoder.py") if self.file == STUB else Path(self.file)
        )
        if not path.is_file():
            raise UserError(f"{self.file}: there is no such file; it has to have a function load")
        write_bytes(folder / "pipeline" / "decoder.py", path.read_bytes())
        tensors = {"shape": torch.tensor(data["train"].shape[1:])}
        prior = self.load(tensors, folder, teacher)
        with torch.no_grad():
            x = prior.decode(Rng(("card", "wrapped"), (0,)).randn((2, *prior.latent_shape))[0])
        if tuple(x.shape[1:]) != prior.shape or not x.abs().max() <= 1.001:
            raise UserError(
                f"{self.file}: made images {tuple(x.shape[1:])} up to {x.abs().max():.3g}; "
                f"expected {prior.shape}, as the data set has, in [-1, 1]"
            )
        write_picture(folder / "samples.png", prior)
        return tensors, {"num_parameters": networks.num_parameters(prior.network)}

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Wrapped:
        """Return the prior, opened by the copy of the file."""
        file = folder / "pipeline" / "decoder.py"
        spec = importlib.util.spec_from_file_location("wrapped_decoder", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        shape = tuple(int(side) for side in tensors["shape"])
        if not hasattr(module, "load"):
            raise UserError(f"{self.file}: has no function load")
        network = networks.frozen(module.load(self.weights, self.latent_shape, shape))
        return Wrapped(network, self.latent_shape, shape, self.num_calls)
