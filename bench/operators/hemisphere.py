"""`hemisphere`: the vertices of one half of a sphere; the other half is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Shape
from bench.core.values import require
from bench.numerics.icosphere import direction, icosphere
from bench.numerics.spectrum import AxisSpectrum
from bench.operators._sphere import require_sphere

__all__ = ["Hemisphere"]


@dataclass(frozen=True)
class Hemisphere:
    """A(x) = mask x: vertices nearer than 90 degrees to a place are not measured."""

    latitude: float = 0.0  # degrees north of the middle of the hidden half
    longitude: float = 90.0  # degrees east of the middle of the hidden half

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    tiny_shape: ClassVar[Shape] = (1, 42, 1)  # for tests

    def __post_init__(self) -> None:
        for name, most in (("latitude", 90), ("longitude", 360)):
            value = getattr(self, name)
            require(
                abs(value) <= most,
                f"hemisphere: {name} must be within +-{most} degrees, got {value!r}",
            )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        return AxisSpectrum(mask_of(y))

    def measured_shape(self, x_shape: Shape) -> Shape:
        require_sphere("hemisphere", x_shape)
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        towards = icosphere(uniform.shape[-2]).vertices @ direction(self.latitude, self.longitude)
        # the great circle between the halves is measured, too
        seen = torch.from_numpy(towards <= 1e-9).to(uniform)
        return seen[:, None].expand(uniform.shape)
