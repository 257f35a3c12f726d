"""Turn measurements into images, as inputs of networks that work on images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.types import Cap, Problem

from .chunks import rows_of
from .gradients import gradient


def num_channels(problem: Problem, y: Tensor, shape: Sequence[int]) -> int:
    """Return the number of channels of `measured_images`, for images of a shape (c, h, w)."""
    itself = y.shape[1] if y.dim() == 4 else y[0].numel()
    return itself + (shape[0] if Cap.GRAD in problem.caps else 0)


@torch.no_grad()
def measured_images(problem: Problem, y: Tensor, centre: Tensor) -> Tensor:
    """Return measurements y (n, *y) as channels (n, k, h, w): A^T(y - A(centre)), scaled, and y itself.

    centre (c, h, w): one image for all. The first c channels are the gradient of the log likelihood at `centre`, where
    there is one; it has the shape of an image whatever the shape of y. Where y is an image it is resized; otherwise
    each of its numbers fills a channel.
    """
    n, size = len(y), centre.shape[-2:]
    if y.dim() == 4:
        itself = (
            functional.adaptive_avg_pool2d(y, (size[0], size[1])) if y.shape[-2:] != size else y
        )
    else:
        itself = y.flatten(1)[:, :, None, None].expand(n, -1, *size)
    if Cap.GRAD not in problem.caps:
        return itself
    image, some = centre.to(y).expand(n, *centre.shape), rows_of(centre.shape)
    pulls = [
        gradient(problem.log_likelihood, *part)
        for part in zip(image.split(some), y.split(some), strict=True)
    ]
    return torch.cat([torch.cat(pulls), itself], 1)


def channel_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (k,) of each channel of images (n, k, h, w); 1 for one that never varies."""
    mean, std = images.mean((0, 2, 3)), images.std((0, 2, 3))
    return mean, torch.where(std > 1e-6 * (1 + mean.abs()), std, 1.0)


def standardised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (images - mean) / std channel by channel, in the dtype of mean; images (n, k, h, w), mean, std (k,)."""
    return ((images - mean.to(images)[:, None, None]) / std.to(images)[:, None, None]).to(mean)
