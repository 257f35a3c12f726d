"""`stations`: the values at random vertices of a sphere, drawn anew for each measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Shape
from bench.core.values import is_count, require
from bench.numerics.climate import land_of
from bench.numerics.spectrum import AxisSpectrum
from bench.operators._sphere import require_sphere

__all__ = ["Stations"]


@dataclass(frozen=True)
class Stations:
    """A(x) = mask x: `count` random vertices are measured, all equally likely, or only vertices on land."""

    count: int  # vertices that are measured
    # only vertices on the continents of the climate (bench/numerics/climate.py)
    on_land: bool = False

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, object]] = {"count": 5, "on_land": True}  # for tests
    tiny_shape: ClassVar[Shape] = (1, 42, 1)  # for tests

    def __post_init__(self) -> None:
        require(
            is_count(self.count), f"stations: count must be a positive integer, got {self.count!r}"
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        return AxisSpectrum(mask_of(y))

    def measured_shape(self, x_shape: Shape) -> Shape:
        require_sphere("stations", x_shape)
        num_places = int(self._places(x_shape[-2]).sum())
        require(
            self.count <= num_places,
            f"stations: count is {self.count}, there are {num_places} vertices"
            f"{' on land' if self.on_land else ''}",
        )
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        places = self._places(uniform.shape[-2]).to(uniform.device)
        order = torch.where(places, uniform[:, 0, :, 0], 2.0)  # vertices at sea come last
        seen = order.argsort(stable=True).argsort() < self.count
        return seen.to(uniform)[:, None, :, None].expand(uniform.shape)

    def _places(self, num_vertices: int) -> Tensor:
        """Return whether each vertex may have a station, (V,) bool."""
        if self.on_land:
            return torch.from_numpy(land_of(num_vertices) > 0.5)
        return torch.ones(num_vertices, dtype=torch.bool)
