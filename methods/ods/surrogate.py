"""An affine stand-in for a decoder, x ~ shift + z matrix, and the normal approximation of a posterior through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LogLikelihood = Callable[[Tensor, Tensor], Tensor]  # x (n, D), y (n, *y) -> (n,)


class Affine(NamedTuple):
    """x ~ shift + u matrix in coordinates u = z axes in which the log likelihood's curvature is diagonal.

    shift (D,), matrix (d, D), axes (d, d) orthogonal, curvature (d,) of -log p(y | x(u)), not negative.
    """

    shift: Tensor
    matrix: Tensor
    axes: Tensor
    curvature: Tensor


def no_map(z: Tensor) -> Affine:
    """Return the coordinates of z (n, d) as they are, with a map to images of no pixels."""
    dim = z.shape[1]
    return Affine(
        z.new_zeros(0),
        z.new_zeros(dim, 0),
        torch.eye(dim, dtype=z.dtype, device=z.device),
        z.new_zeros(dim),
    )


def fit_affine(z: Tensor, x: Tensor, ridge: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Fit x (n, D) by least squares to standard normal z (n, d): shift (D,), matrix (d, D); ridge in draws per draw."""
    centred = z - z.mean(0)
    gram = centred.T @ centred + ridge * len(z) * torch.eye(
        z.shape[1], dtype=z.dtype, device=z.device
    )
    matrix = torch.linalg.solve(gram, centred.T @ (x - x.mean(0)))
    return x.mean(0) - z.mean(0) @ matrix, matrix


def gradient(log_likelihood: LogLikelihood, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the log likelihood by x (n, D), (n, D)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(log_likelihood(x, y).sum(), x)[0]


def mean_curvature(
    log_likelihood: LogLikelihood, x: Tensor, y: Tensor, distance: float = 0.05
) -> Tensor:
    """Return -Hessian of the log likelihood by x, (D, D), mean over rows x (n, D), y (n, *y); central differences."""
    dim = x.shape[1]
    offsets = distance * torch.eye(dim, dtype=x.dtype, device=x.device)
    total = torch.zeros_like(offsets)
    for x_i, y_i in zip(x, y, strict=True):
        ends = gradient(
            log_likelihood,
            torch.cat([x_i + offsets, x_i - offsets]),
            y_i.expand(2 * dim, *y_i.shape),
        )
        total += (ends[dim:] - ends[:dim]) / (2 * distance)
    return (total + total.T) / (2 * len(x))


def in_principal_axes(shift: Tensor, matrix: Tensor, hessian: Tensor) -> Affine:
    """Return the map in the eigenvectors of matrix hessian matrix^T; negative curvature counts as none."""
    curvature, axes = torch.linalg.eigh(matrix @ hessian @ matrix.T)
    return Affine(shift, axes.T @ matrix, axes, curvature.clamp_min(0))


def adapted_fit(
    decode: Callable[[Tensor], Tensor],
    log_likelihood: LogLikelihood,
    shift: Tensor,
    matrix: Tensor,
    y: Tensor,
    betas: Tensor,
    noise: Tensor,
    ridge: float = 0.1,
) -> tuple[Affine, Tensor, Tensor]:
    """Refit the affine map where the posterior of y (1, *y) is; also return the z (k n, d), x (k n, D) of the fit.

    For each temperature `betas` (k,), rising to 1: draws of the normal approximation, decoded, correct the map by ridge
    regression in whitened coordinates. noise (k, n, d). An iterated ensemble smoother in all but name, e.g. Iglesias et
    al. 2013, https://arxiv.org/abs/1209.2736
    """
    seen_z, seen_x, centre = [], [], torch.zeros_like(matrix[:, 0])
    for beta, xi in zip(betas, noise, strict=True):
        hessian = mean_curvature(log_likelihood, (shift + centre @ matrix)[None], y)
        affine = in_principal_axes(shift, matrix, beta * hessian)
        at_centre = gradient(log_likelihood, (shift + centre @ matrix)[None], y)[0]
        precision = 1 + affine.curvature
        centre_u = centre @ affine.axes
        centre = (
            (beta * affine.matrix @ at_centre + affine.curvature * centre_u) / precision
        ) @ affine.axes.T
        to_z = precision.rsqrt()[:, None] * affine.axes.T  # from whitened coordinates
        z = centre + xi @ to_z
        seen_z.append(z)
        seen_x.append(decode(z))
        offset, slope = fit_affine(xi, seen_x[-1] - shift - z @ matrix, ridge)
        slope = affine.axes @ (precision.sqrt()[:, None] * slope)
        shift, matrix = shift + offset - centre @ slope, matrix + slope
    hessian = mean_curvature(log_likelihood, (shift + centre @ matrix)[None], y)
    return in_principal_axes(shift, matrix, hessian), torch.cat(seen_z), torch.cat(seen_x)
