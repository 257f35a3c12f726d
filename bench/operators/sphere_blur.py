"""`sphere-blur`: means around each vertex of a sphere, like those of an instrument with a wide beam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_positive, require
from bench.numerics.icosphere import icosphere
from bench.numerics.spectrum import AxisSpectrum, spectrum_of_axes
from bench.operators._sphere import require_sphere

__all__ = ["SphereBlur"]


@dataclass(frozen=True)
class SphereBlur:
    """A(x): means with weights that are Gaussian in great-circle distance, times the vertex's area, of sum 1."""

    std: float  # standard deviation of the Gaussian, degrees

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"std": 25.0}  # for tests
    tiny_shape: ClassVar[Shape] = (1, 42, 1)  # for tests

    def __post_init__(self) -> None:
        require(is_positive(self.std), f"sphere-blur: std must be positive, got {self.std!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (x[..., 0] @ self._matrix(x).mT)[..., None]

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return (v[..., 0] @ self._matrix(v))[..., None]

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        like = torch.empty((1, *x_shape), dtype=torch.float64, device=y.device)
        return spectrum_of_axes((None, self._matrix(like), None), x_shape, y)

    def measured_shape(self, x_shape: Shape) -> Shape:
        require_sphere("sphere-blur", x_shape)
        return x_shape

    def _matrix(self, like: Tensor) -> Tensor:
        return weights(like.shape[-2], self.std, like.dtype, like.device)


@lru_cache(maxsize=8)
def weights(num_vertices: int, std: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix of the means, (V, V): row i has the weights of all vertices in the value at vertex i."""
    sphere = icosphere(num_vertices)
    angles = np.degrees(np.arccos((sphere.vertices @ sphere.vertices.T).clip(-1, 1)))
    rows = sphere.areas * np.exp(-0.5 * (angles / std) ** 2)
    return torch.from_numpy(rows / rows.sum(1, keepdims=True)).to(device, dtype)
