"""Kernels of camera shake, and blurs with a kernel for each row."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_count, is_positive, require
from bench.operators._common import describe_size

NUM_POINTS = 256  # points on the path of the camera, and uniform numbers for a kernel


def shake_kernels(uniform: Tensor, size: int, intensity: float) -> Tensor:
    """Return kernels (n, size, size) of random camera paths, made from uniform numbers (n, NUM_POINTS) in [0, 1).

    The camera moves at constant speed. Its direction is uniform at the start and then a random walk whose standard
    deviation at the end is `intensity` half turns: 0 gives straight lines, 1 curls. The path is centred and scaled
    until it touches the border of the window, and each of its points is distributed over the four nearest pixels. So a
    kernel is non-negative, sums to one, and has its centre of mass in the middle, so that images are not displaced.
    """
    # the uniform numbers have variance 1 / 12
    step = intensity * math.pi * math.sqrt(12 / NUM_POINTS)
    turns = step * (uniform[:, 1:] - 0.5)
    angle = torch.cat([2 * math.pi * uniform[:, :1], turns], dim=1).cumsum(1)
    place = torch.stack([angle.sin(), angle.cos()]).cumsum(2)  # (2, n, NUM_POINTS)
    place = place - place.mean(2, keepdim=True)
    reach = (size - 1) / 2
    place = reach + reach * place / place.abs().amax((0, 2), keepdim=True)
    pixels = torch.arange(size, device=uniform.device, dtype=uniform.dtype)
    rows, columns = (1 - (place[..., None] - pixels).abs()).clamp_min(0)  # (n, NUM_POINTS, size)
    return rows.mT @ columns / NUM_POINTS


def blurred(x: Tensor, kernels: Tensor) -> Tensor:
    """Return images (n, c, h, w), each channel correlated with its row's kernel (n, k, k), reflected at the borders."""
    (n, c, height, width), reach = x.shape, kernels.shape[-1] // 2
    padded = F.pad(x, [reach] * 4, mode="reflect")
    weights = kernels.repeat_interleave(c, 0)[:, None]
    groups = F.conv2d(padded.reshape(1, n * c, *padded.shape[2:]), weights, groups=n * c)
    return groups.view(n, c, height, width)


def blurred_adjoint(v: Tensor, kernels: Tensor) -> Tensor:
    """Return the transpose of `blurred` at images v (n, c, h, w)."""
    (n, c, height, width), reach = v.shape, kernels.shape[-1] // 2
    weights = kernels.repeat_interleave(c, 0)[:, None]
    padded = F.conv_transpose2d(v.reshape(1, n * c, height, width), weights, groups=n * c)
    padded = padded.view(n, c, height + 2 * reach, width + 2 * reach)
    return _reflection(height, reach, v).mT @ padded @ _reflection(width, reach, v)


def _reflection(side: int, reach: int, like: Tensor) -> Tensor:
    """Return the matrix that pads an axis by reflection, (side + 2 reach, side)."""
    index = torch.arange(-reach, side + reach, device=like.device)
    inside = side - 1 - (side - 1 - index.abs()).abs()
    return F.one_hot(inside, side).to(like.dtype)


def check_kernel(name: str, kernel_size: int, intensity: float) -> None:
    """Raise ValueError, one line, unless the parameters of `shake_kernels` make sense."""
    odd = is_count(kernel_size) and kernel_size % 2 == 1 and kernel_size > 1
    require(odd, f"{name}: kernel_size must be an odd integer, 3 or more, got {kernel_size!r}")
    good = intensity == 0 or is_positive(intensity)
    require(good, f"{name}: intensity must be a number, 0 or more, got {intensity!r}")


def check_size(name: str, kernel_size: int, x_shape: Shape) -> None:
    """Raise ValueError, one line, unless the kernel fits into an image, since the measurement stores it in one."""
    require(
        kernel_size <= min(x_shape[-2:]),
        f"{name}: a kernel of {kernel_size} pixels is larger than {describe_size(x_shape)}",
    )
