"""Measurement operators A, each a frozen dataclass whose fields are its parameters.

Images are (n, c, h, w) in [-1, 1], row by row. `y` is a packed measurement (see `pack`): it carries what differs
between measurements, a mask; operators without one do not need it. Every operator has

* `measured_shape(x_shape)`: shape of one A(x); ValueError when an image of that size cannot be measured;
* `adjoint(v, y)`, when `linear`: the exact transpose;
* `draw_mask(uniform)`, when `masked`: which entries are observed, from numbers (n, *x) uniform in [0, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]


def pack(values: Tensor, mask: Tensor | None) -> Tensor:
    """One tensor with all that the instrument knows: values (n, c, h, w), with a mask (n, 2c, h, w)."""
    return values if mask is None else torch.cat([values, mask], dim=1)


def mask_of(y: Tensor | None) -> Tensor:
    """The second half of a packed masked measurement's channels: 1 where observed, else 0."""
    _require(y is not None, "this operator has a mask per measurement: call operator(x, y) and operator.adjoint(v, y)")
    return y.chunk(2, dim=1)[1]


@dataclass(frozen=True)
class Denoise:
    """A(x) = x."""

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x

    adjoint = __call__

    def measured_shape(self, x_shape: Shape) -> Shape:
        return x_shape


@dataclass(frozen=True)
class InpaintBox:
    """A(x) = mask x: a centred square of `box` x `box` pixels is not observed."""

    box: int
    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require(_is_count(self.box), f"inpaint-box: box must be a positive integer, got {self.box!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def measured_shape(self, x_shape: Shape) -> Shape:
        _require(self.box < min(x_shape[-2:]), f"inpaint-box: box {self.box} leaves nothing to see of {_size(x_shape)}")
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        height, width = uniform.shape[-2:]
        top, left = (height - self.box) // 2, (width - self.box) // 2
        mask = torch.ones_like(uniform)
        mask[..., top : top + self.box, left : left + self.box] = 0
        return mask


@dataclass(frozen=True)
class InpaintRandom:
    """A(x) = mask x: exactly round(visible_fraction h w) random pixels are observed, in all channels."""

    visible_fraction: float
    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        fraction = self.visible_fraction
        good = is_positive(fraction) and fraction <= 1
        _require(good, f"inpaint-random: visible_fraction must be in (0, 1], got {fraction!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def measured_shape(self, x_shape: Shape) -> Shape:
        sees = self._num_visible(x_shape) >= 1
        _require(sees, f"inpaint-random: visible_fraction {self.visible_fraction} sees no pixel of {_size(x_shape)}")
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        rank = uniform[:, 0].flatten(1).argsort(stable=True).argsort()
        visible = (rank < self._num_visible(uniform.shape)).to(uniform)
        return visible.reshape(uniform[:, :1].shape).expand_as(uniform)

    def _num_visible(self, x_shape: Shape) -> int:
        return round(self.visible_fraction * x_shape[-2] * x_shape[-1])


@dataclass(frozen=True)
class AveragePool:
    """A(x): means over blocks of `factor` x `factor` pixels (super-resolution by average pooling)."""

    factor: int
    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require(_is_count(self.factor), f"average-pool: factor must be a positive integer, got {self.factor!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return F.avg_pool2d(x, self.factor)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return v.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1) / self.factor**2

    def measured_shape(self, x_shape: Shape) -> Shape:
        *channels, height, width = x_shape
        divides = height % self.factor == 0 and width % self.factor == 0
        _require(divides, f"average-pool: factor {self.factor} does not divide {_size(x_shape)}")
        return (*channels, height // self.factor, width // self.factor)


@dataclass(frozen=True)
class Blur:
    """A(x): each channel convolved with a normalised Gaussian, reflected at the borders; `std` in pixels.

    The Gaussian separates, so A(x) = R x C^T with one matrix per axis, and the adjoint is R^T v C.
    """

    kernel_size: int
    std: float
    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        odd = _is_count(self.kernel_size) and self.kernel_size % 2 == 1
        _require(odd, f"blur: kernel_size must be a positive odd integer, got {self.kernel_size!r}")
        _require(is_positive(self.std), f"blur: std must be positive, got {self.std!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._matrix(x.shape[-2], x) @ x @ self._matrix(x.shape[-1], x).mT

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return self._matrix(v.shape[-2], v).mT @ v @ self._matrix(v.shape[-1], v)

    def measured_shape(self, x_shape: Shape) -> Shape:
        fits = self.kernel_size // 2 < min(x_shape[-2:])
        _require(fits, f"blur: half a kernel of {self.kernel_size} pixels must be smaller than {_size(x_shape)}")
        return x_shape

    def kernel(self) -> Tensor:
        """The two-dimensional kernel, (kernel_size, kernel_size), float64."""
        profile = self._profile(torch.zeros((), dtype=torch.float64))
        return torch.outer(profile, profile)

    def _matrix(self, side: int, like: Tensor) -> Tensor:
        """The blur of one axis, (side, side): row i holds the weights of pixel i's neighbours, folded at borders."""
        neighbour = torch.arange(side, device=like.device)[:, None] + self._offset(like.device)
        inside = side - 1 - (side - 1 - neighbour.abs()).abs()
        weights = self._profile(like).expand(side, -1)
        return like.new_zeros(side, side).scatter_add(1, inside, weights)

    def _profile(self, like: Tensor) -> Tensor:
        return torch.softmax(-0.5 * (self._offset(like.device).to(like.dtype) / self.std) ** 2, dim=0)

    def _offset(self, device: torch.device) -> Tensor:
        return torch.arange(self.kernel_size, device=device) - self.kernel_size // 2


@dataclass(frozen=True)
class Saturate:
    """A(x) = clip(gain x, -1, 1), the high-dynamic-range problem."""

    gain: float
    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require(is_positive(self.gain), f"saturate: gain must be positive, got {self.gain!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (self.gain * x).clamp(-1, 1)

    def measured_shape(self, x_shape: Shape) -> Shape:
        return x_shape


@dataclass(frozen=True)
class Phase:
    """A(x): amplitude of the centred orthonormal Fourier transform (phase retrieval).

    Each side is first padded with int(oversample / 8 side) zeros, as in Chung et al., Diffusion Posterior Sampling,
    ICLR 2023, https://arxiv.org/abs/2209.14687. At amplitude zero the gradient is zero.
    """

    oversample: float
    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require(is_positive(self.oversample), f"phase: oversample must be positive, got {self.oversample!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        rows, columns = self._padding(x.shape)
        padded = F.pad(x, [columns, columns, rows, rows])
        # Where the origin of x lies changes phases only, so x itself need not be centred.
        return torch.fft.fftshift(torch.fft.fft2(padded, norm="ortho").abs(), dim=(-2, -1))

    def measured_shape(self, x_shape: Shape) -> Shape:
        rows, columns = self._padding(x_shape)
        *channels, height, width = x_shape
        return (*channels, height + 2 * rows, width + 2 * columns)

    def _padding(self, x_shape: Shape) -> tuple[int, int]:
        return int(self.oversample / 8 * x_shape[-2]), int(self.oversample / 8 * x_shape[-1])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _size(x_shape: Shape) -> str:
    return f"an image of {x_shape[-2]} x {x_shape[-1]} pixels"


Operator = Denoise | InpaintBox | InpaintRandom | AveragePool | Blur | Saturate | Phase
