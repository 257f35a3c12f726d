"""Structural similarity to x_true, by torchmetrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth

__all__ = ["SSIM"]

VALUES_AT_ONCE = (
    2**14
)  # pixels times channels; SSIM needs a thousand bytes for each, in float32 half of that
MOST_DOUBLE = 1024  # values of an image up to which SSIM is computed in float64; in float32 it is ten times faster


@dataclass(frozen=True)
class SSIM(Metric):
    """SSIM of the mean of the samples, and of each sample; two columns per window."""

    # standard deviations of Gaussian windows, in pixels: 0.5 fits the smallest images, 1.5 is the paper's
    windows: tuple[float, ...] = (0.5,)

    tiny: ClassVar[Mapping[str, Any]] = {"windows": (0.5,)}

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(column for std in self.windows for column in _columns(std))

    def why_empty(self, truth: Truth) -> dict[str, str]:
        side = min(truth.context.x_shape[-2:])
        small = [std for std in self.windows if side < size_of(std)]
        return {
            column.id: f"n/a (image smaller than the window, {size_of(std)} x {size_of(std)})"
            for std in small
            for column in _columns(std)
        }

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        side, mean = min(truth.context.x_shape[-2:]), samples.mean(1, keepdim=True)
        return {
            f"ssim-g{std:g}_{what}": ssim(x, truth.x_true, std)
            for std in self.windows
            if side >= size_of(std)
            for what, x in (("mean", mean), ("sample", samples))
        }


def _columns(std: float) -> tuple[Column, Column]:
    id, size = f"ssim-g{std:g}", size_of(std)
    window = (
        f"Gaussian window of standard deviation {std:g} pixels ({size} x {size}), reflected borders"
    )
    mean = f"SSIM of the mean of the samples against x_true, both mapped to [0, 1]; {window}"
    sample = f"mean over samples of the SSIM of each against x_true, as in {id}_mean"
    return (
        Column(f"{id}_mean", mean, "higher", needs="operator", of_point=True),
        Column(f"{id}_sample", sample, "higher", needs="operator"),
    )


def size_of(std: float) -> int:
    """Return the pixels along torchmetrics' window of that standard deviation: 5 for 0.5, 11 for 1.5."""
    return 2 * int(3.5 * std + 0.5) + 1


def ssim(x: Tensor, x_true: Tensor, std: float = 0.5) -> Tensor:
    """Return the mean over s images of the SSIM: (m, s, c, H, W), (m, c, H, W) -> (m,).

    Images are first mapped to [0, 1], since SSIM compares luminances, which are not negative. The paper's window of
    standard deviation 1.5 needs 11 x 11 pixels (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    pairs = x.flatten(0, 1), x_true.repeat_interleave(x.shape[1], 0)
    rows = max(1, VALUES_AT_ONCE // x_true[0].numel())
    if x_true[0].numel() > MOST_DOUBLE:
        pairs, rows = tuple(part.float() for part in pairs), 4 * rows
    values = [
        structural_similarity_index_measure(
            (images + 1) / 2, (true + 1) / 2, sigma=std, data_range=1.0, reduction="none"
        ).reshape(-1)  # type: ignore[union-attr] (a tuple comes only with further options)
        for images, true in zip(*(part.split(rows) for part in pairs), strict=True)
    ]
    return torch.cat(values).reshape(x.shape[:2]).to(x).mean(1)
