"""`inpaint-random`: a random share of the pixels, with a separate mask for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Shape
from bench.core.values import is_positive, require
from bench.numerics.spectrum import AxisSpectrum
from bench.operators._common import describe_size

__all__ = ["InpaintRandom"]


@dataclass(frozen=True)
class InpaintRandom:
    """A(x) = mask x: exactly round(visible_fraction h w) random pixels are measured, in all channels."""

    visible_fraction: float  # share of pixels that are measured, in (0, 1]

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, object]] = {"visible_fraction": 0.4}  # for tests

    def __post_init__(self) -> None:
        fraction = self.visible_fraction
        good = is_positive(fraction) and fraction <= 1
        require(good, f"inpaint-random: visible_fraction must be in (0, 1], got {fraction!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        return AxisSpectrum(mask_of(y))

    def measured_shape(self, x_shape: Shape) -> Shape:
        sees = self._num_visible(x_shape) >= 1
        require(
            sees,
            f"inpaint-random: visible_fraction {self.visible_fraction} sees no pixel of {describe_size(x_shape)}",
        )
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        rank = uniform[:, 0].flatten(1).argsort(stable=True).argsort()
        visible = (rank < self._num_visible(uniform.shape)).to(uniform)
        return visible.reshape(uniform[:, :1].shape).expand_as(uniform)

    def _num_visible(self, x_shape: Shape) -> int:
        return round(self.visible_fraction * x_shape[-2] * x_shape[-1])
