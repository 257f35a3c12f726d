"""An orthonormal basis of images that is computed and not stored: cosines, the leading ones turned to principal axes.

The principal axes of all pixels would be D x D numbers (604 MB in float32 at 64 x 64 x 3) and two products with them in
every call. Cosines are nearly the principal axes of photographs, and cost a product along each side of an image. What
is left of correlation is among the few hundred strongest coefficients, which are turned to their own principal axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

NAMES = ("colours", "order", "axes")  # of the tensors that make a basis
ROWS_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Basis:
    """An orthonormal basis of images (c, h, w), D = c h w.

    colours (c, c): an axis of colour in each row. order (D,): the cosine coefficients (c, w, h) by falling variance.
    axes (q, q): principal axes of the first q of them, one in each column.
    """

    shape: tuple[int, ...]
    colours: Tensor
    order: Tensor
    axes: Tensor

    @classmethod
    def of(cls, shape: tuple[int, ...], tensors: Mapping[str, Tensor]) -> Basis:
        """Return the basis that was stored as `tensors`."""
        return cls(shape, tensors["colours"], tensors["order"].long(), tensors["axes"])

    @classmethod
    def fitted(cls, x: Tensor, num_axes: int) -> Basis:
        """Return the basis of images x (N, c, h, w) in which the first `num_axes` coefficients are not correlated."""
        shape, (_, c, h, w) = tuple(x.shape[1:]), x.shape
        pixels = x.transpose(0, 1).flatten(1).double()
        # rows by falling variance, so that the first is about brightness
        colours = torch.linalg.eigh(torch.cov(pixels).view(c, c))[1].flip(1).T.contiguous()
        plain = cls(shape, colours, torch.arange(c * h * w), torch.eye(0, dtype=torch.float64))
        mean = x.double().mean(0, keepdim=True)
        centred = [part.double() - mean for part in x.split(ROWS_AT_ONCE)]
        variances = sum(plain.coordinates(part).square().sum(0) for part in centred)
        order = torch.as_tensor(variances).argsort(descending=True, stable=True)
        kept = order[:num_axes]
        leading = torch.cat([plain.coordinates(part)[:, kept] for part in centred])
        axes = torch.linalg.eigh(leading.T @ leading)[1].flip(1).contiguous()
        return cls(shape, colours, order, axes)

    def to(self, like: Tensor) -> Basis:
        """Return the basis with the dtype and on the device of a tensor."""
        return Basis(
            self.shape, self.colours.to(like), self.order.to(like.device), self.axes.to(like)
        )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Return what has to be stored."""
        return {name: getattr(self, name) for name in NAMES}

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates of images, (n, c, h, w) -> (n, D)."""
        c, h, w = self.shape
        turned = (x @ self._cosines[1]).mT @ self._cosines[0]  # (n, c, w, h)
        if c > 1:
            turned = self.colours @ turned.flatten(2)
        ordered = turned.flatten(1)[:, self.order]
        q = len(self.axes)
        if q:
            ordered[:, :q] = ordered[:, :q] @ self.axes
        return ordered

    def images(self, u: Tensor) -> Tensor:
        """Return the images that have these coordinates, (n, D) -> (n, c, h, w)."""
        c, h, w = self.shape
        q = len(self.axes)
        ordered = torch.cat([u[:, :q] @ self.axes.T, u[:, q:]], 1) if q else u
        turned = ordered[:, self._places].unflatten(1, (c, w * h))
        if c > 1:
            turned = self.colours.T @ turned
        return (turned.unflatten(2, (w, h)) @ self._cosines[0].T).mT @ self._cosines[1].T

    def matrix(self) -> Tensor:
        """Return the basis as a matrix (D, D), a vector in each column."""
        eye = torch.eye(math.prod(self.shape), dtype=self.colours.dtype, device=self.colours.device)
        return self.images(eye).flatten(1).T.contiguous()

    @cached_property
    def _cosines(self) -> tuple[Tensor, Tensor]:
        """Return the cosines of both sides, (h, h) and (w, w), one in each column."""
        height, width = (_cosines(side).to(self.colours) for side in self.shape[1:])
        return height, width

    @cached_property
    def _places(self) -> Tensor:
        return self.order.argsort()


class Turned(torch.autograd.Function):
    """Coordinates of images, or with `back` images of coordinates; the derivative of each is the other."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, basis: Basis, back: bool) -> Tensor:
        return basis.images(x) if back else basis.coordinates(x)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Basis, bool], output: Tensor) -> None:
        _, ctx.basis, ctx.back = inputs

    @staticmethod
    def backward(ctx, v: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Turned.apply(v, ctx.basis, not ctx.back), None, None


def _cosines(side: int) -> Tensor:
    """Return the orthonormal cosines of a side (side, side), float64: column k has k half periods."""
    place = torch.arange(side, dtype=torch.float64)
    values = torch.cos(torch.pi * (place[:, None] + 0.5) * place / side) * math.sqrt(2 / side)
    values[:, 0] = math.sqrt(1 / side)
    return values
