"""`atoms`: the uniform measure on a finite set of images, whose denoiser and posteriors are sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.types import Cap, Prior, Random
from bench.core.values import require
from bench.priors._dtype import refuse_other_dtype

__all__ = ["AtomsFamily"]

Tensors = dict[str, Tensor]
# weights computed at once: more are slower, since their memory comes from the system at every call
NUM_WEIGHTS = 2**20
SMALLEST_VARIANCE = 1e-12  # of noise; it gives the nearest atom, as less noise or none would


@dataclass(frozen=True, eq=False)
class Atoms:
    """The prior p(x) = 1/N sum_i delta(x - a_i), `atoms` (N, *x) in data units, which has no density."""

    atoms: Tensor

    caps: ClassVar[Cap] = Cap.DENOISER
    # useful noise levels; the denoiser is exact beyond them, too
    sigma_range: ClassVar[tuple[float, float]] = (0.002, 200.0)
    decode_nfe: ClassVar[int] = 0
    sample_nfe: ClassVar[int] = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.atoms.shape[1:])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`."""
        return self.atoms[rng.randint(len(self.atoms), (num_samples,)).to(self.atoms.device)]

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return sum_i w_i a_i, w = softmax(-|x_t - a_i|^2 / (2 sigma^2)): x_t (n, *x), sigma () or (n,)."""
        refuse_other_dtype("denoise", x_t, self.atoms)
        variance = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device).square().view(-1, 1)
        variance = variance.clamp_min(SMALLEST_VARIANCE)
        rows = max(1, NUM_WEIGHTS // len(self.atoms))
        blocks = zip(
            x_t.flatten(1).split(rows), variance.expand(len(x_t), 1).split(rows), strict=True
        )
        return torch.cat([self._mean(*block) for block in blocks]).view_as(x_t)

    def _mean(self, x_t: Tensor, variance: Tensor) -> Tensor:
        logits = torch.addmm(-self._half_norms / variance, x_t / variance, self._flat.T)
        return logits.softmax(1) @ self._flat

    @cached_property
    def _flat(self) -> Tensor:
        return self.atoms.flatten(1)

    @cached_property
    def _half_norms(self) -> Tensor:
        return self._flat.square().sum(1) / 2


@dataclass(frozen=True)
class AtomsFamily:
    """The prior on all images that the data set can have, if it lists them, else on the training images."""

    num_atoms: int = 0  # number of images, the first ones; 0: all

    tiny: ClassVar[Mapping[str, object]] = {}  # for tests

    def __post_init__(self) -> None:
        require(self.num_atoms >= 0, f"atoms: num_atoms must be 0 or more, got {self.num_atoms!r}")

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return the images; raise ValueError if there are fewer than num_atoms."""
        atoms = data.get("atoms", data["train"])
        require(
            self.num_atoms <= len(atoms),
            f"atoms: num_atoms is {self.num_atoms}, there are {len(atoms)} images",
        )
        atoms = atoms[: self.num_atoms or len(atoms)]
        return {"atoms": atoms}, {"num_atoms": len(atoms)}

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Atoms:
        """Return the prior with the stored tensors."""
        return Atoms(**tensors)
