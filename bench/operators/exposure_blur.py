"""`exposure-blur`: a non-linear blur, motion blur of the light before the film responds to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.packed import kernel_of
from bench.core.types import Shape
from bench.core.values import is_positive, require
from bench.operators._kernels import NUM_POINTS, blurred, check_kernel, check_size, shake_kernels

__all__ = ["ExposureBlur"]


@dataclass(frozen=True)
class ExposureBlur:
    """A(x) = log2(K 2^(stops x / 2)) / (stops / 2): light is blurred, and values are the logarithm of light.

    K is the blur of `motion-blur`, with a kernel of camera shake for each image, which `kernels` stores with the
    measurement. From black to white the light doubles `stops` times, so that bright spots leave streaks and dark ones
    are washed out; in the limit of stops = 0, A is `motion-blur`. A is smooth, and its values lie between the smallest
    and the largest value of x. It is not the learned blur (BKSE) of the non-linear deblurring of DPS, whose kernel also
    differs between calls.
    """

    kernel_size: int  # pixels along the kernel's side, odd
    # standard deviation of the turn from the path's start to its end, in half turns; 0: straight lines
    intensity: float = 0.5
    stops: float = 6.0  # doublings of the light from black, x = -1, to white, x = 1

    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    num_uniform: ClassVar[int] = NUM_POINTS
    tiny: ClassVar[Mapping[str, object]] = {"kernel_size": 5}  # for tests

    def __post_init__(self) -> None:
        check_kernel("exposure-blur", self.kernel_size, self.intensity)
        require(
            is_positive(self.stops), f"exposure-blur: stops must be positive, got {self.stops!r}"
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        rate = self.stops * math.log(2) / 2
        brightest = x.detach().amax((1, 2, 3), keepdim=True)
        light = blurred((rate * (x - brightest)).exp(), kernel_of(y, self.kernel_size))
        return light.clamp_min(torch.finfo(x.dtype).tiny).log() / rate + brightest

    def measured_shape(self, x_shape: Shape) -> Shape:
        check_size("exposure-blur", self.kernel_size, x_shape)
        return x_shape

    def draw_kernel(self, uniform: Tensor) -> Tensor:
        return shake_kernels(uniform, self.kernel_size, self.intensity)
