"""Singular values and right singular vectors of linear operators on images that act on each axis by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Matrices = Sequence[Tensor | None]  # for channels, rows and columns; None leaves an axis as it is
UNTOUCHED: Matrices = (None, None, None)


@dataclass(frozen=True)
class AxisSpectrum:
    """A^T A = V diag(values^2) V^T for images (c, h, w), V a product of one orthonormal matrix per axis.

    values: (1, c, h, w), or (n, c, h, w) where they differ between measurements; zero where A sees nothing.
    axes: a right singular vector in each column of each matrix.
    """

    values: Tensor
    axes: Matrices = UNTOUCHED

    def coordinates(self, x: Tensor) -> Tensor:
        """Return V^T x, (n, c, h, w)."""
        return along_axes([None if axis is None else axis.mT for axis in self.axes], x)

    def image(self, z: Tensor) -> Tensor:
        """Return V z, (n, c, h, w)."""
        return along_axes(self.axes, z)


def along_axes(matrices: Matrices, x: Tensor) -> Tensor:
    """Return images (n, c, h, w) with each axis multiplied by its matrix."""
    channels, rows, columns = matrices
    if channels is not None:
        x = torch.einsum("dc,nchw->ndhw", channels, x)
    if rows is not None:
        x = rows @ x
    return x if columns is None else x @ columns.mT


def spectrum_of_axes(matrices: Matrices, x_shape: tuple[int, ...], like: Tensor) -> AxisSpectrum:
    """Return the spectrum of an operator on images x_shape that is a matrix (out, in) on each axis.

    It is computed in float64 and returned in the dtype and on the device of `like`. A matrix with fewer rows than
    columns has singular values of zero for the rest.
    """
    values = torch.ones((1, *x_shape), dtype=torch.float64, device=like.device)
    axes: list[Tensor | None] = []
    for axis, matrix in enumerate(matrices):
        if matrix is None:
            axes.append(None)
            continue
        _, singular, vectors = torch.linalg.svd(matrix.double(), full_matrices=True)
        shape = [1, 1, 1, 1]
        shape[axis + 1] = x_shape[axis]
        values = values * functional.pad(singular, (0, x_shape[axis] - len(singular))).view(shape)
        axes.append(vectors.mT.to(like))
    return AxisSpectrum(values.to(like), axes)
