"""`motion-blur`: the blur of a shaking camera, with a kernel for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.packed import kernel_of
from bench.core.types import Shape
from bench.operators._kernels import (
    NUM_POINTS,
    blurred,
    blurred_adjoint,
    check_kernel,
    check_size,
    shake_kernels,
)

__all__ = ["MotionBlur"]


@dataclass(frozen=True)
class MotionBlur:
    """A(x): each channel correlated with the image's own kernel of camera shake, reflected at the borders.

    Kernels are random paths of constant speed, whose direction is uniform at the start and then a random walk. A kernel
    is non-negative, sums to one, has its centre of mass in the middle and touches the border of its window. It is
    stored with the measurement, in `kernels`.
    """

    kernel_size: int  # pixels along the kernel's side, odd
    # standard deviation of the turn from the path's start to its end, in half turns; 0: straight lines
    intensity: float = 0.5

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    num_uniform: ClassVar[int] = NUM_POINTS
    tiny: ClassVar[Mapping[str, object]] = {"kernel_size": 5}  # for tests

    def __post_init__(self) -> None:
        check_kernel("motion-blur", self.kernel_size, self.intensity)

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return blurred(x, kernel_of(y, self.kernel_size))

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return blurred_adjoint(v, kernel_of(y, self.kernel_size))

    def measured_shape(self, x_shape: Shape) -> Shape:
        check_size("motion-blur", self.kernel_size, x_shape)
        return x_shape

    def draw_kernel(self, uniform: Tensor) -> Tensor:
        return shake_kernels(uniform, self.kernel_size, self.intensity)
