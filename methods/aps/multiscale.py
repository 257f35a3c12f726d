"""The conditional generator of larger images: a small image by the dense generator, then the details of each size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import Problem
from bench.numerics import haar
from bench.numerics.chunks import in_chunks, rows_of
from bench.numerics.measured_images import (
    channel_moments,
    measured_images,
    num_channels,
    standardised,
)
from bench.numerics.pyramid import Pyramid

from .flows import ZERO_ENDS
from .generator import Generator, standard_log_normal
from .scales import Scale

COARSE_SIDE = 8  # pixels of the image that is made as a whole
NUMBERS = 2**19  # of the images in one call of the networks
FITTED = 2**26  # most numbers in the images to which details are fitted ...
SMALLEST_FIT = 64  # ... of which there are at least so many


class MultiscaleGenerator(nn.Module):
    """x = G(z; y) in orthonormal Haar wavelets, from coarse to fine; all rows; float32 inside.

    Cost and memory grow in proportion to the number of pixels, as no matrix is larger than the coarse image. Details at
    each size depend on all coarser ones and, through a small UNet, on the whole measurement; wavelets of z make those
    of x. Yu, Derpanis and Brubaker 2020, Wavelet Flow, https://arxiv.org/abs/2010.13821; channel mixing as in Kingma
    and Dhariwal 2018, Glow, https://arxiv.org/abs/1807.03039
    """

    centre: Tensor
    seen_mean: Tensor
    seen_std: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        problem: Problem,
        y: Tensor,
        dense_sizes: tuple[int, int, int],
        conv_channels: int,
        conv_layers: int,
    ) -> None:
        super().__init__()
        c, height, width = shape
        self.problem, self.num_halvings = problem, haar.halvings_to(COARSE_SIDE, shape)
        self.rows = rows_of(shape, NUMBERS)
        num_seen = num_channels(problem, y, shape)
        sizes = [(c, height >> k, width >> k) for k in range(self.num_halvings, 0, -1)]
        self.size = sizes[0][1:]
        self.coarse = Generator(sizes[0], num_seen * sizes[0][1] * sizes[0][2], *dense_sizes)
        self.pyramid = Pyramid(num_seen, conv_channels, self.num_halvings)
        units = [2.0**k for k in range(self.num_halvings, 0, -1)]
        self.scales = nn.ModuleList(
            Scale(size, unit, conv_channels, conv_channels, conv_layers)
            for size, unit in zip(sizes, units, strict=True)
        )
        self.register_buffer("centre", torch.zeros(c, height, width))
        self.register_buffer("seen_mean", torch.zeros(num_seen))
        self.register_buffer("seen_std", torch.ones(num_seen))

    @property
    def ends(self) -> list[str]:
        """Return the layers that start at zero, so that training starts from the base."""
        ends = [name for name, _ in self.named_modules() if name.endswith(ZERO_ENDS)]
        return [*ends, "coarse.adjust"]

    @torch.no_grad()
    def fit_base(self, x: Tensor, y: Tensor, base: str) -> None:
        """Fit the regressions of x (n, *x) on y (n, *y): dense for the coarse image, local for details."""
        few, c = max(SMALLEST_FIT, FITTED // x[0].numel()), x.shape[1]
        self.centre.copy_(x.mean(0))
        images = measured_images(self.problem, y[:few], self.centre)
        mean, std = channel_moments(images)
        self.seen_mean.copy_(mean)
        self.seen_std.copy_(std)
        chunks = [part.split(self.rows) for part in (x.to(self.centre), y)]
        small = torch.cat([haar.levels(part, self.num_halvings)[0][0] for part in chunks[0]])
        pooled = torch.cat(
            [
                self._pooled(self.see(measured_images(self.problem, part, self.centre)))
                for part in chunks[1]
            ]
        )
        num_pulls = c * self.size[0] * self.size[1]  # the gradient's numbers come first
        self.coarse.fit_base(small, pooled, base, num_pulls)
        if base == "identity":
            return
        of_x, of_pull = self._levels(x[:few].to(self.centre), self.see(images))
        for scale, (coarse, details), pull in zip(self.scales, of_x, of_pull, strict=True):
            scale.fit(details, coarse, pull, self.rows)  # pyright: ignore[reportCallIssue]

    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (n, *x), y (n, *y) to x (n, *x), log q(x | y) (n,)."""
        seen = self.see(measured_images(self.problem, y, self.centre))
        x, log_q = in_chunks(self._forward, self.rows, z.to(seen), seen)
        return x.to(y.dtype), log_q.to(y.dtype)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(x | y), x (n, *x), y (n, *y) -> (n,)."""
        seen = self.see(measured_images(self.problem, y, self.centre))
        return in_chunks(self._inverse, self.rows, x.to(seen), seen)[1].to(y.dtype)

    def see(self, images: Tensor) -> Tensor:
        """Return measured images (n, k, h, w), standardised channel by channel."""
        return standardised(images, self.seen_mean, self.seen_std)

    def _forward(self, z: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        noise, pulls = self._levels(z, seen)
        x, log_q = self.coarse(noise[0][0], self._pooled(seen))
        for scale, (_, u), pull, features in zip(
            self.scales, noise, pulls, self.pyramid(seen), strict=True
        ):
            details, log_det = scale(u, x, pull, features)
            log_q = log_q + standard_log_normal(u) - log_det
            x = haar.merge(x, details)
        return x, log_q

    def _inverse(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return wavelets of z, flat (n, D), and log q(x | y) (n,)."""
        parts, pulls = self._levels(x, seen)
        z, log_q = self.coarse.inverse(parts[0][0], self._pooled(seen))
        wavelets = [z.flatten(1)]
        for scale, (coarse, details), pull, features in zip(
            self.scales, parts, pulls, self.pyramid(seen), strict=True
        ):
            u, log_det = scale.inverse(details, coarse, pull, features)  # pyright: ignore[reportCallIssue]
            wavelets.append(u.flatten(1))
            log_q = log_q + standard_log_normal(u) + log_det
        return torch.cat(wavelets, 1), log_q

    def _levels(
        self, image: Tensor, seen: Tensor
    ) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Return the levels of an image (n, *x), and of the pull in `seen` as one tensor (n, 4 c, h, w) each."""
        pulls = haar.levels(seen[:, : image.shape[1]], self.num_halvings)
        return haar.levels(image, self.num_halvings), [torch.cat(pull, 1) for pull in pulls]

    def _pooled(self, seen: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(seen, self.size)
