"""An affine stand-in for a decoder, x ~ shift + z matrix, and the normal approximation of a posterior through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.numerics.chunks import rows_of

LARGE = 1024  # images of more numbers are too large for matrices of pixels x pixels
LogLikelihood = Callable[[Tensor, Tensor], Tensor]  # x (n, D), y (n, *y) -> (n,)


class Affine(NamedTuple):
    """x ~ shift + u matrix in coordinates u = z axes in which the log likelihood's curvature is diagonal.

    shift (D,), matrix (d, D), axes (d, d) orthogonal, curvature (d,) of -log p(y | x(u)), not negative.
    """

    shift: Tensor
    matrix: Tensor
    axes: Tensor
    curvature: Tensor

    @property
    def like(self) -> Tensor:
        """Return a tensor of the map's dtype and device."""
        return self.axes

    def coordinates(self, z: Tensor) -> Tensor:
        """Map flat latents (n, d) to u (n, d)."""
        return z @ self.axes

    def latents(self, u: Tensor) -> Tensor:
        """Undo `coordinates`."""
        return u @ self.axes.T

    def images(self, u: Tensor) -> Tensor:
        """Return the images (n, D) that the map gives for u (n, d)."""
        return self.shift + u @ self.matrix

    def pulled_back(self, gradients: Tensor) -> Tensor:
        """Return gradients in u (n, d), from gradients in the images (n, D)."""
        return gradients @ self.matrix.T

    def single(self) -> Affine:
        """Return the map in float32."""
        return Affine(*(tensor.float() for tensor in self))


def no_map(z: Tensor) -> Affine:
    """Return the map whose coordinates are z (n, d) itself, to images without pixels."""
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
    """Return the gradient of the log likelihood in x (n, D), (n, D)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(log_likelihood(x, y).sum(), x)[0]


def mean_curvature(
    log_likelihood: LogLikelihood, x: Tensor, y: Tensor, distance: float = 0.05
) -> Tensor:
    """Return -Hessian of the log likelihood in x, (D, D), mean over rows x (n, D), y (n, *y); central differences."""
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


def latent_curvature(
    log_likelihood: LogLikelihood, x: Tensor, y: Tensor, matrix: Tensor, distance: float = 0.05
) -> Tensor:
    """Return matrix H matrix^T (d, d), H as in `mean_curvature`, without a matrix of pixels x pixels.

    Each row of matrix (d, D) is a direction, in which pixels move by at most `distance`.
    """
    steps = distance / matrix.abs().amax(1).clamp_min(1e-6)
    total = matrix.new_zeros(len(matrix), len(matrix))
    for some in torch.arange(len(matrix), device=x.device).split(rows_of(x.shape[1:])):
        offsets = steps[some, None] * matrix[some]
        for x_i, y_i in zip(x, y, strict=True):
            ends = gradient(
                log_likelihood,
                torch.cat([x_i + offsets, x_i - offsets]),
                y_i.expand(2 * len(some), *y_i.shape),
            )
            slopes = (ends[len(some) :] - ends[: len(some)]) / (2 * steps[some, None])
            total[some] += slopes @ matrix.T
    return (total + total.T) / (2 * len(x))


def in_principal_axes(
    log_likelihood: LogLikelihood,
    x: Tensor,
    y: Tensor,
    shift: Tensor,
    matrix: Tensor,
    beta: Tensor | float = 1.0,
) -> Affine:
    """Return the map in the principal axes of the curvature at x (n, D), y (n, *y), times beta.

    Negative curvature counts as none.
    """
    if x.shape[1] > LARGE:
        through = beta * latent_curvature(log_likelihood, x, y, matrix)
    else:
        through = matrix @ (beta * mean_curvature(log_likelihood, x, y)) @ matrix.T
    curvature, axes = torch.linalg.eigh(through)
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

    For each temperature of `betas` (k,), rising to 1, draws of the normal approximation are decoded, and correct the
    map by ridge regression in whitened coordinates. noise (k, n, d). This is an iterated ensemble smoother, e.g.
    Iglesias et al. 2013, https://arxiv.org/abs/1209.2736
    """
    seen_z, seen_x, centre = [], [], torch.zeros_like(matrix[:, 0])
    for beta, xi in zip(betas, noise, strict=True):
        here = (shift + centre @ matrix)[None]
        affine = in_principal_axes(log_likelihood, here, y, shift, matrix, beta)
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
    here = (shift + centre @ matrix)[None]
    affine = in_principal_axes(log_likelihood, here, y, shift, matrix)
    return affine, torch.cat(seen_z), torch.cat(seen_x)
