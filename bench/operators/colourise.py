"""`colourise`: the grey image, so that colours have to be found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import require
from bench.numerics.spectrum import AxisSpectrum, spectrum_of_axes

__all__ = ["Colourise"]

WEIGHTS = {"mean": (1 / 3, 1 / 3, 1 / 3), "luma": (0.299, 0.587, 0.114)}  # luma: of ITU-R BT.601


@dataclass(frozen=True)
class Colourise:
    """A(x): one grey channel, the weighted mean of red, green and blue."""

    # mean: a third each, as in DDRM and DDNM; luma: 0.299, 0.587, 0.114 (ITU-R BT.601)
    grey: Literal["mean", "luma"] = "mean"

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"grey": "luma"}  # for tests

    def __post_init__(self) -> None:
        words = " or ".join(WEIGHTS)
        require(self.grey in WEIGHTS, f"colourise: grey must be {words}, got {self.grey!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (self._weights(x)[:, None, None] * x).sum(1, keepdim=True)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return self._weights(v)[:, None, None] * v

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        weights = torch.tensor([WEIGHTS[self.grey]], dtype=torch.float64, device=y.device)
        return spectrum_of_axes((weights, None, None), x_shape, y)

    def measured_shape(self, x_shape: Shape) -> Shape:
        channels, *size = x_shape
        require(channels == 3, f"colourise: expected images of 3 channels, got {channels}")
        return (1, *size)

    def _weights(self, like: Tensor) -> Tensor:
        return torch.tensor(WEIGHTS[self.grey], dtype=like.dtype, device=like.device)
