"""The affine stand-in for a decoder of larger images: diagonal in wavelets, except for the coarse image.

It takes the place of `surrogate.Affine` where latents are images of the decoder's size; no tensor is larger than a few
images, or than the square of the coarse one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.numerics import haar
from bench.numerics.chunks import rows_of

from .surrogate import LogLikelihood, fit_affine, gradient

COARSE_SIDE = 8  # pixels of the image in which all numbers depend on one another
SHARED = 32  # weight, in draws, of a band's mean in the gain of each of its coefficients
DISTANCE = 0.05  # of a pixel, to either side, over which gradients are compared
NUM_POWER = 10  # iterations for the largest curvature that the diagonal leaves out
MOST_CURVATURE = 1.5  # over the diagonal: steps of a guide diverge from 2 on


class Frame(NamedTuple):
    """An orthonormal basis of images (c, h, w): channels turned to `colours` (c, c), then Haar wavelets.

    Coefficients (n, d) start with the coarse image; `band` numbers the others by size, direction and colour.
    """

    shape: tuple[int, int, int]
    colours: Tensor

    @property
    def num_halvings(self) -> int:
        return haar.halvings_to(COARSE_SIDE, self.shape)

    @property
    def coarse_shape(self) -> tuple[int, int, int]:
        c, height, width = self.shape
        return c, height >> self.num_halvings, width >> self.num_halvings

    @property
    def num_coarse(self) -> int:
        c, height, width = self.coarse_shape
        return c * height * width

    def coefficients(self, images: Tensor) -> Tensor:
        """Map flat images (n, d) to coefficients (n, d)."""
        turned = torch.einsum("jk,njhw->nkhw", self.colours, images.unflatten(1, self.shape))
        parts = haar.levels(turned, self.num_halvings)
        return torch.cat([parts[0][0].flatten(1), *(part[1].flatten(1) for part in parts)], 1)

    def images(self, coefficients: Tensor) -> Tensor:
        """Map coefficients (n, d) to flat images (n, d)."""
        c, height, width = self.coarse_shape
        image = coefficients[:, : self.num_coarse].unflatten(1, (c, height, width))
        start = self.num_coarse
        for _ in range(self.num_halvings):
            size = 3 * image[0].numel()
            details = coefficients[:, start : start + size].unflatten(1, (3 * c, *image.shape[2:]))
            image, start = haar.merge(image, details), start + size
        return torch.einsum("jk,nkhw->njhw", self.colours, image).flatten(1)

    def bands(self) -> Tensor:
        """Return the band of each coefficient, (d,) int64: 0 for the coarse image, then sizes, directions, colours."""
        c, height, width = self.coarse_shape
        bands = [torch.zeros(self.num_coarse, dtype=torch.int64)]
        for k in range(self.num_halvings):
            first = 1 + 3 * c * k
            numbers = torch.arange(first, first + 3 * c)
            bands.append(numbers.repeat_interleave(height * width << (2 * k)))
        return torch.cat(bands).to(self.colours.device)

    def pixels(self) -> Tensor:
        """Return the number of pixels along a side that each coefficient spreads over, (d,)."""
        c, num = self.shape[0], self.num_halvings
        halvings = num - (self.bands() - 1).clamp_min(0) // (3 * c)
        return (2.0**halvings).to(self.colours)


class WaveletMap(NamedTuple):
    """x ~ shift + u gains in coefficients u of z, where the log likelihood's curvature is taken as diagonal.

    shift (c, h, w), colours (c, c) of images; the coarse image's u are along `axes` (k, k), with x ~ u matrix (k, k);
    gains (d,) of the other coefficients (one for the coarse ones); curvature (d,) of -log p(y | x(u)), not negative.

    missed (d,): variances of the coefficients of x - x(u), which count as noise of the measurement: gradients come back
    by `back` (k, k) from the coarse image and times `trust` (d,) from the others, and curvature is less for them.
    """

    shift: Tensor
    colours: Tensor
    axes: Tensor
    matrix: Tensor
    gains: Tensor
    missed: Tensor
    back: Tensor
    trust: Tensor
    curvature: Tensor

    @property
    def frame(self) -> Frame:
        c, height, width = self.shift.shape
        return Frame((c, height, width), self.colours)

    @property
    def like(self) -> Tensor:
        return self.shift

    def coordinates(self, z: Tensor) -> Tensor:
        """Map flat latents (n, d) to u (n, d)."""
        return self._coarse_times(self.axes, self.frame.coefficients(z))

    def latents(self, u: Tensor) -> Tensor:
        """Undo `coordinates`."""
        return self.frame.images(self._coarse_times(self.axes.T, u))

    def images(self, u: Tensor) -> Tensor:
        """Return the images (n, d) that the map gives for u (n, d)."""
        return self.shift.flatten() + self.frame.images(
            self._coarse_times(self.matrix, self.gains * u)
        )

    def pulled_back(self, gradients: Tensor) -> Tensor:
        """Return gradients in u (n, d), from gradients in the images (n, d)."""
        coefficients = self.frame.coefficients(gradients)
        return self.gains * self.trust * self._coarse_times(self.back, coefficients)

    def single(self) -> WaveletMap:
        """Return the map in float32."""
        return WaveletMap(*(tensor.float() for tensor in self))

    def _coarse_times(self, matrix: Tensor, coefficients: Tensor) -> Tensor:
        k = len(matrix)
        return torch.cat([coefficients[:, :k] @ matrix, coefficients[:, k:]], 1)


def no_wavelets(z: Tensor, shape: tuple[int, ...]) -> WaveletMap:
    """Return the wavelets of flat latents z (n, d) as coordinates, with a map that gives one image only."""
    c, height, width = shape
    frame = Frame((c, height, width), torch.eye(c).to(z))
    eye, zeros = torch.eye(frame.num_coarse).to(z), z.new_zeros(z.shape[1])
    shift, nothing = z.new_zeros(shape), 0 * eye
    return WaveletMap(shift, frame.colours, eye, nothing, zeros, zeros, nothing, zeros, zeros)


def fit_wavelets(z: Tensor, x: Tensor, shape: tuple[int, ...]) -> WaveletMap:
    """Fit flat images x (n, d) to standard normal z (n, d), with axes and curvature yet to be found.

    The error of the map is estimated by draws that are held out of a first fit.
    """
    held = max(2, len(z) // 8)
    trial = _fitted(z[held:], x[held:], shape)
    return with_missed(_fitted(z, x, shape), _missed(trial, z[:held], x[:held]))


def _fitted(z: Tensor, x: Tensor, shape: tuple[int, ...]) -> WaveletMap:
    c, height, width = shape
    middle_z, middle_x = z.mean(0), x.mean(0)
    pixels = (x - middle_x).unflatten(1, shape).transpose(0, 1).flatten(1)
    colours = torch.linalg.eigh(pixels @ pixels.T / pixels.shape[1])[1]
    frame = Frame((c, height, width), colours)
    of_z, of_x = frame.coefficients(z - middle_z), frame.coefficients(x - middle_x)
    gains, k = slopes(of_z, of_x, frame.bands()), frame.num_coarse
    left = of_x[:, :k] - gains[:k] * of_z[:, :k]
    # with p numbers from n draws the slopes that are noise are about p / n of all
    matrix = gains[:k].diag() + fit_affine(of_z[:, :k], left, ridge=k / len(z))[1]
    gains[:k] = 1
    shift, eye, zeros = x.new_zeros(c, height, width), torch.eye(k).to(z), torch.zeros_like(gains)
    fitted = WaveletMap(
        shift, colours, eye, matrix, gains, zeros, matrix.T, torch.ones_like(gains), zeros
    )
    moved = fitted.images(fitted.coordinates(middle_z[None]))[0]
    return fitted._replace(shift=(middle_x - moved).view(c, height, width))


def _missed(fitted: WaveletMap, z: Tensor, x: Tensor) -> Tensor:
    """Return the coefficients (n, d) of x that a map misses, for z (n, d), x (n, d)."""
    return fitted.frame.coefficients(x - fitted.images(fitted.coordinates(z)))


def with_missed(fitted: WaveletMap, missed: Tensor) -> WaveletMap:
    """Return the map with the variances of missed coefficients (n, d), drawn towards those of their band."""
    bands = fitted.frame.bands()
    squares = missed.square().mean(0)
    sums, counts = (
        torch.zeros_like(squares).index_add(0, bands, each)
        for each in (squares, torch.ones_like(squares))
    )
    shared = (sums / counts.clamp_min(1))[bands]
    variances = (len(missed) * squares + SHARED * shared) / (len(missed) + SHARED)
    return fitted._replace(missed=variances)


def slopes(z: Tensor, x: Tensor, bands: Tensor) -> Tensor:
    """Return the slope of each x on its z, (n, d) each -> (d,), drawn towards that of its band (d,)."""
    products, squares = (z * x).sum(0), z.square().sum(0)
    sums = [
        values.new_zeros(int(bands.max()) + 1).index_add_(0, bands, values)
        for values in (products, squares)
    ]
    shared = (sums[0] / sums[1])[bands]
    return (products + SHARED * shared) / (squares + SHARED)


def with_curvature(fitted: WaveletMap, hessian: tuple[Tensor, Tensor]) -> WaveletMap:
    """Return the map along the principal axes of the coarse image's curvature, with the curvature of all coordinates.

    hessian: as `curvature_in_wavelets` gives it, for a map whose axes are those of its frame. Negative curvature counts
    as none.
    """
    k, eye = len(fitted.matrix), torch.eye(len(fitted.matrix)).to(fitted.matrix)
    values, vectors = torch.linalg.eigh(hessian[0])
    block = (vectors * values.clamp_min(0)) @ vectors.T
    trusted = torch.linalg.inv(eye + block * fitted.missed[:k])
    values, axes = torch.linalg.eigh(fitted.matrix @ trusted @ block @ fitted.matrix.T)
    diagonal = hessian[1].clamp_min(0)
    trust = 1 / (1 + diagonal * fitted.missed)
    curvature = fitted.gains.square() * trust * diagonal
    trust[:k], curvature[:k] = 1, values.clamp_min(0)
    matrix = axes.T @ fitted.matrix
    return fitted._replace(
        axes=axes, matrix=matrix, back=trusted.T @ matrix.T, trust=trust, curvature=curvature
    )


def damped(
    fitted: WaveletMap, log_likelihood: LogLikelihood, x: Tensor, y: Tensor, signs: Tensor
) -> WaveletMap:
    """Return the map with more curvature where its diagonal is too small for the steps of a guide to be stable.

    The true curvature is found by power iteration at rows x (n, d), y (n, *y), from signs (d,). It exceeds the diagonal
    where the pixels of a mask form no blocks, so that wavelets act together.
    """
    scale, origin = (1 + fitted.curvature).rsqrt(), fitted.images(torch.zeros_like(x))
    direction, largest = signs.to(x).expand_as(x), x.new_ones(len(x), 1)
    for _ in range(NUM_POWER):
        direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12)
        move = fitted.images(scale * direction) - origin
        step = DISTANCE / move.abs().amax(1, keepdim=True).clamp_min(1e-12)
        ends = [gradient(log_likelihood, x + sign * step * move, y) for sign in (-1, 1)]
        direction = scale * fitted.pulled_back(ends[0] - ends[1]) / (2 * step)
        largest = direction.norm(dim=1, keepdim=True)
    excess = (largest.max() / MOST_CURVATURE).clamp_min(1.0)
    return fitted._replace(curvature=excess * fitted.curvature)


def curvature_in_wavelets(
    log_likelihood: LogLikelihood, x: Tensor, y: Tensor, frame: Frame, signs: Tensor
) -> tuple[Tensor, Tensor]:
    """Return -Hessian of the log likelihood in coefficients of x: block of the coarse image (k, k), diagonal (d,).

    Mean over rows x (n, d), y (n, *y), by central differences of gradients: one for each coarse number, one for each
    other band, whose wavelets are moved together, with random signs (d,). Wavelets of a band that act on the same
    measured numbers make the diagonal noisy, and only those.
    """
    k, bands = frame.num_coarse, frame.bands()
    steps = DISTANCE * frame.pixels() * signs.to(x)  # moves pixels by DISTANCE
    group = torch.cat([torch.arange(k, device=x.device), k - 1 + bands[k:]])
    block, diagonal = x.new_zeros(k, k), torch.zeros_like(steps)
    for some in torch.arange(k + int(bands.max()), device=x.device).split(rows_of(frame.shape)):
        moved = group == some[:, None]
        for x_i, y_i in zip(x, y, strict=True):
            slopes = _answers(log_likelihood, x_i, y_i, frame, moved * steps)
            diagonal += (moved * slopes).sum(0) / steps
            block[some[some < k]] += slopes[some < k, :k] / steps[some[some < k], None]
    return (block + block.T) / (2 * len(x)), diagonal / len(x)


def _answers(
    log_likelihood: LogLikelihood, x: Tensor, y: Tensor, frame: Frame, moves: Tensor
) -> Tensor:
    """Return half the difference of minus the gradient at both ends of moves (p, d) from x (d,), (p, d)."""
    offsets = frame.images(moves)
    ends = gradient(
        log_likelihood,
        torch.cat([x + offsets, x - offsets]),
        y.expand(2 * len(moves), *y.shape),
    )
    return frame.coefficients(ends[len(moves) :] - ends[: len(moves)]) / 2


def adapted_wavelets(
    decode: Callable[[Tensor], Tensor],
    log_likelihood: LogLikelihood,
    fitted: WaveletMap,
    y: Tensor,
    betas: Tensor,
    noise: Tensor,
    signs: Tensor,
) -> tuple[WaveletMap, Tensor, Tensor]:
    """Refit the map where the posterior of y (1, *y) is, as `surrogate.adapted_fit` does; also return its z and x.

    betas (k,), rising to 1; noise (k, n, d); signs as in `curvature_in_wavelets`.
    """
    seen_z, seen_x, centre = [], [], torch.zeros_like(fitted.gains)  # in coefficients of z

    def hessian() -> tuple[Tensor, Tensor]:
        here = fitted.images(centre[None])
        return curvature_in_wavelets(log_likelihood, here, y, fitted.frame, signs)

    for beta, xi in zip(betas, noise, strict=True):
        block, diagonal = hessian()
        turned = with_curvature(fitted, (beta * block, beta * diagonal))
        precision, u = 1 + turned.curvature, turned._coarse_times(turned.axes, centre[None])
        at_centre = gradient(log_likelihood, turned.images(u), y)
        u = (beta * turned.pulled_back(at_centre) + turned.curvature * u) / precision
        spread = turned._coarse_times(turned.axes.T, xi * precision.rsqrt())
        centre = turned._coarse_times(turned.axes.T, u)[0]
        seen_z.append(fitted.frame.images(centre + spread))
        seen_x.append(decode(seen_z[-1]))
        fitted = _corrected(fitted, centre, spread, seen_x[-1])
    turned = with_curvature(fitted, hessian())
    here = turned.images(turned.coordinates(fitted.frame.images(centre[None])))
    turned = damped(turned, log_likelihood, here, y, signs)
    return turned, torch.cat(seen_z), torch.cat(seen_x)


def _corrected(fitted: WaveletMap, centre: Tensor, spread: Tensor, x: Tensor) -> WaveletMap:
    """Return the map corrected by images x (n, d) of coefficients centre (d,) + spread (n, d), by ridge regression."""
    k, frame = len(fitted.matrix), fitted.frame
    missed = frame.coefficients(x - fitted.images(centre + spread))
    shift, missed = missed.mean(0), missed - missed.mean(0)
    scale = spread.square().mean(0).sqrt()
    white = (spread - spread.mean(0)) / scale
    change = (white * missed).sum(0) / (white.square().sum(0) + SHARED) / scale
    matrix = fit_affine(white[:, :k], missed[:, :k], ridge=k / len(x))[1] / scale[:k, None]
    change[:k] = 0
    middle = centre + spread.mean(0)
    moved = torch.cat([middle[:k] @ matrix, (change * middle)[k:]])
    matrix, moved = fitted.matrix + matrix, frame.images((shift - moved)[None])[0]
    corrected = fitted._replace(
        shift=fitted.shift + moved.view_as(fitted.shift),
        matrix=matrix,
        back=matrix.T,
        gains=fitted.gains + change,
    )
    return with_missed(corrected, _missed(corrected, frame.images(centre + spread), x))
