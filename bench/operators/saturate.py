"""`saturate`: a sensor that saturates (the high-dynamic-range problem)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_positive, require

__all__ = ["Saturate"]


@dataclass(frozen=True)
class Saturate:
    """A(x) = clip(gain x, -1, 1), the high-dynamic-range problem."""

    gain: float  # factor before clipping; values of |x| above 1 / gain saturate

    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"gain": 2.0}  # for tests

    def __post_init__(self) -> None:
        require(is_positive(self.gain), f"saturate: gain must be positive, got {self.gain!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (self.gain * x).clamp(-1, 1)

    def measured_shape(self, x_shape: Shape) -> Shape:
        return x_shape
