"""`inpaint-random-box`: all pixels but those of a square, at a random place in each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Shape
from bench.core.values import is_count, require
from bench.numerics.spectrum import AxisSpectrum
from bench.operators._common import describe_size

__all__ = ["InpaintRandomBox"]


@dataclass(frozen=True)
class InpaintRandomBox:
    """A(x) = mask x: a square of `box` x `box` pixels is not measured, at a place that differs between images.

    All places that are `margin` pixels or more from every border are equally likely.
    """

    box: int  # pixels along the side of the hidden square
    margin: int = 0  # smallest number of pixels between the square and the border

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, object]] = {"box": 3, "margin": 1}  # for tests

    def __post_init__(self) -> None:
        require(
            is_count(self.box),
            f"inpaint-random-box: box must be a positive integer, got {self.box!r}",
        )
        require(
            self.margin == 0 or is_count(self.margin),
            f"inpaint-random-box: margin must be a whole number, 0 or more, got {self.margin!r}",
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        return AxisSpectrum(mask_of(y))

    def measured_shape(self, x_shape: Shape) -> Shape:
        side = min(x_shape[-2:])
        require(
            self.box + 2 * self.margin <= side and self.box < side,
            f"inpaint-random-box: box {self.box} and margin {self.margin} leave no place in {describe_size(x_shape)}",
        )
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        height, width = uniform.shape[-2:]
        rows = self._hidden(uniform[:, 0, 0, 0], height)
        columns = self._hidden(uniform[:, 0, 0, 1], width)
        hidden = rows[:, :, None] & columns[:, None, :]
        return (~hidden).to(uniform)[:, None].expand_as(uniform)

    def _hidden(self, uniform: Tensor, side: int) -> Tensor:
        """Return which pixels along an axis lie in the square, (n, side)."""
        num_places = side - self.box - 2 * self.margin + 1
        first = self.margin + (uniform * num_places).floor().clamp_max(num_places - 1)
        from_first = torch.arange(side, device=uniform.device) - first[:, None]
        return (from_first >= 0) & (from_first < self.box)
