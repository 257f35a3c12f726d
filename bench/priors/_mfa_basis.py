"""An orthonormal basis of images that is computed and not stored: cosines of colours.

Principal axes of all pixels would need D x D numbers (604 MB in float32 at 64 x 64 x 3) and two products with them in
every call. Photographs have nearly the same statistics at every place, so that cosines are nearly their principal axes,
and they cost only a product along each side of an image. Noise that is diagonal in them even fits crops of photographs
better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

IMAGES_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Basis:
    """The basis of cosines of images (c, h, w) in colours (c, c), an orthonormal axis of colour in each row.

    Coordinates are (c, w, h), flat: an axis of colour, half periods along a row, and half periods along a column.
    """

    shape: tuple[int, ...]
    colours: Tensor

    @classmethod
    def fitted(cls, x: Tensor) -> Basis:
        """Return the basis whose colours are the principal axes of the pixels of images x (N, c, h, w), float64."""
        mean = x.mean((0, 2, 3)).double()[:, None]
        moments = torch.zeros(len(mean), len(mean), dtype=torch.float64)
        for part in x.split(IMAGES_AT_ONCE):
            pixels = part.double().transpose(0, 1).flatten(1) - mean
            moments += pixels @ pixels.T
        # the strongest first, which is roughly brightness
        colours = torch.linalg.eigh(moments)[1].flip(1).T.contiguous()
        return cls(tuple(x.shape[1:]), colours)

    def to(self, like: Tensor) -> Basis:
        """Return the basis with the dtype and on the device of a tensor."""
        return Basis(self.shape, self.colours.to(like))

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates of images, (n, c, h, w) -> (n, D)."""
        along_rows, along_columns = self._cosines
        return (self._coloured(x, self.colours) @ along_rows).mT.matmul(along_columns).flatten(1)

    def images(self, u: Tensor) -> Tensor:
        """Return the images that have these coordinates, (n, D) -> (n, c, h, w)."""
        (c, h, w), (along_rows, along_columns) = self.shape, self._cosines
        turned = u.unflatten(1, (c, w, h)) @ along_columns.T
        return self._coloured(turned.mT @ along_rows.T, self.colours.T)

    def diagonals(self, values: Tensor) -> Tensor:
        """Return the variances of pixels whose coordinates have these variances, (n, D) -> (n, c, h, w)."""
        (c, h, w), (along_rows, along_columns) = self.shape, self._cosines
        turned = values.unflatten(1, (c, w, h)) @ along_columns.square().T
        return self._coloured(turned.mT @ along_rows.square().T, self.colours.square().T)

    def groups(self) -> Tensor:
        """Return the group of each coordinate (D,): one for each axis of colour and even or odd along each side.

        Groups are numbered from 0 without gaps, which images of one pixel along a side would otherwise have.
        Operators that treat all channels alike do not mix the axes of colour, and those that commute with mirror images
        do not mix even and odd cosines.
        """
        channels, height, width = (torch.arange(side) for side in self.shape)
        parities = 2 * (width[:, None] % 2) + height % 2
        kinds = (4 * channels[:, None, None] + parities).flatten()
        return kinds.unique(return_inverse=True)[1].to(self.colours.device)

    def matrix(self) -> Tensor:
        """Return the basis as a matrix (D, D), a vector in each column."""
        eye = torch.eye(math.prod(self.shape)).to(self.colours)
        return self.images(eye).flatten(1).T.contiguous()

    def _coloured(self, x: Tensor, colours: Tensor) -> Tensor:
        """Return the images (n, c, h, w) with their channels multiplied by a matrix."""
        return (colours @ x.flatten(2)).view(x.shape) if len(colours) > 1 else colours[0, 0] * x

    @cached_property
    def _cosines(self) -> tuple[Tensor, Tensor]:
        """Return cosines along a row (w, w) and along a column (h, h), one in each column of the matrices."""
        height, width = (_cosines(side).to(self.colours) for side in self.shape[1:])
        return width, height


class Turned(torch.autograd.Function):
    """Coordinates of images, or with `back` images of coordinates: linear, and the transpose of each is the other."""

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

    @staticmethod
    def jvp(ctx, v: Tensor, *_: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Turned.apply(v, ctx.basis, ctx.back)


def _cosines(side: int) -> Tensor:
    """Return the orthonormal cosines of a side (side, side), float64: column k has k half periods."""
    place = torch.arange(side, dtype=torch.float64)
    values = torch.cos(torch.pi * (place[:, None] + 0.5) * place / side) * math.sqrt(2 / side)
    values[:, 0] = math.sqrt(1 / side)
    return values
