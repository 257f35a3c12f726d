"""Conditional normalising flows: invertible x = F(z; context) with the log-determinant of dx/dz."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

MAX_LOG_SCALE = 2.0  # one layer scales by at most e^2
COARSE = 8  # pixels per side that the global part of a conditioner sees
ZERO_ENDS = ("to_image", "near_out")  # layers that are identity couplings when they are zero


def make_flow(
    shape: Sequence[int], context_size: int, num_layers: int, width: int, num_channels: int
) -> ImageFlow | VectorFlow:
    """Return affine couplings over points of a shape: images (c, h, w) keep their layout, any other is flattened."""
    if is_image(shape):
        return ImageFlow(
            (shape[0], shape[1], shape[2]), context_size, num_layers, width, num_channels
        )
    return VectorFlow(math.prod(shape), context_size, num_layers, width)


def is_image(shape: Sequence[int]) -> bool:
    """Return whether points of a shape have a layout in a plane.

    Long columns (c, h, 1) are signals on a mesh: the order of its points does not say which are neighbours.
    """
    return len(shape) == 3 and (min(shape[1:]) > 1 or max(shape[1:]) <= COARSE)


class ImageFlow(nn.Module):
    """Couplings that cycle through checkerboards, channels, rows and columns, each with both halves in turn."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        context_size: int,
        num_layers: int,
        width: int,
        num_channels: int,
    ) -> None:
        super().__init__()
        masks = coupling_masks(shape)
        self.layers = nn.ModuleList(
            Coupling(masks[i % len(masks)], context_size, width, num_channels)
            for i in range(num_layers)
        )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (n, c, h, w), given context (n, context_size), to x (n, c, h, w) and log |det dx/dz| (n,)."""
        log_det = z.new_zeros(len(z))
        for layer in self.layers:
            z, change = layer(z, context)
            log_det = log_det + change
        return z, log_det

    def inverse(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (n, c, h, w) to z (n, c, h, w) and log |det dz/dx| (n,)."""
        log_det = x.new_zeros(len(x))
        for layer in reversed(self.layers):
            x, change = layer.inverse(x, context)  # pyright: ignore[reportCallIssue] (ModuleList has no type of items)
            log_det = log_det + change
        return x, log_det


class Coupling(nn.Module):
    """An affine coupling: pixels where `mask` is 0 are scaled and shifted, depending on the others and the context."""

    mask: Tensor

    def __init__(self, mask: Tensor, context_size: int, width: int, num_channels: int) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        channels, height, width_of_image = mask.shape
        self.conditioner = Conditioner(
            (channels, height, width_of_image), context_size, width, num_channels
        )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(z, context)
        return z * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(x, context)
        return (x - shift) * (-log_scale).exp(), -log_scale.flatten(1).sum(1)

    def _scale_and_shift(self, image: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.conditioner(self.mask * image, context).chunk(2, dim=1)
        moved = 1 - self.mask
        return moved * bounded(log_scale), moved * shift


def bounded(log_scale: Tensor) -> Tensor:
    """Return log scales limited smoothly to +- MAX_LOG_SCALE."""
    return MAX_LOG_SCALE * torch.tanh(log_scale / MAX_LOG_SCALE)


class Conditioner(nn.Module):
    """Image (n, c, h, w) and context (n, context_size) -> (n, 2 c, h, w).

    One network sees the whole image, pooled to at most COARSE x COARSE pixels. Where that loses detail, convolutions
    add what is nearby.
    """

    def __init__(
        self, shape: tuple[int, int, int], context_size: int, width: int, num_channels: int
    ) -> None:
        super().__init__()
        c, h, w = shape
        self.coarse = (min(h, COARSE), min(w, COARSE))
        self.pooled = self.coarse != (h, w)
        size = math.prod(self.coarse)
        self.from_image = nn.Linear(c * size, width)
        self.from_context = nn.Linear(context_size, width)
        self.middle, self.to_image = nn.Linear(width, width), nn.Linear(width, 2 * c * size)
        if self.pooled:
            self.near_in = nn.Conv2d(c, num_channels, 3, padding=1)
            self.near_out = nn.Conv2d(num_channels, 2 * c, 3, padding=1)

    def forward(self, image: Tensor, context: Tensor) -> Tensor:
        whole = nn.functional.adaptive_avg_pool2d(image, self.coarse) if self.pooled else image
        hidden = nn.functional.silu(self.from_image(whole.flatten(1)) + self.from_context(context))
        hidden = hidden + nn.functional.silu(self.middle(hidden))
        out = self.to_image(hidden).unflatten(1, (-1, *self.coarse))
        if not self.pooled:
            return out
        near = self.near_out(nn.functional.silu(self.near_in(image)))
        return near + nn.functional.interpolate(out, image.shape[2:])


def coupling_masks(shape: tuple[int, int, int]) -> list[Tensor]:
    """Return binary masks (c, h, w), each before its complement: checkerboards, channels if several, rows, columns."""
    c, h, w = shape
    channel, row, column = torch.meshgrid(
        torch.arange(c), torch.arange(h), torch.arange(w), indexing="ij"
    )
    patterns = [row + column, channel, row, column]
    halves = [(pattern + parity) % 2 for pattern in patterns for parity in (0, 1)]
    masks = [half.float() for half in halves if 0 < half.sum() < half.numel()]
    if not masks:
        raise ValueError(f"a coupling flow needs images of at least two entries, got shape {shape}")
    return masks


class VectorFlow(nn.Module):
    """zuko's affine couplings on vectors."""

    def __init__(self, size: int, context_size: int, num_layers: int, width: int) -> None:
        super().__init__()
        from zuko.flows import NICE

        self.flow = NICE(size, context_size, transforms=num_layers, hidden_features=(width, width))

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = self.flow(context).transform.inv.call_and_ladj(z.flatten(1))
        return x.view_as(z), log_det

    def inverse(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = self.flow(context).transform.call_and_ladj(x.flatten(1))
        return z.view_as(x), log_det
