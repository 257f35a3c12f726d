"""Structural similarity to x_true, by torchmetrics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth

__all__ = ["SSIM"]

VALUES_AT_ONCE = 2**14  # pixels times channels; SSIM takes a thousand bytes for each


@dataclass(frozen=True)
class SSIM(Metric):
    """SSIM of the mean of the samples, and of each sample."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "ssim-g0.5_mean",
                "SSIM of the mean of the samples against x_true, both mapped to [0, 1]; Gaussian window of standard "
                "deviation 0.5 pixels (5 x 5), reflected borders",
                "higher",
                needs="operator",
            ),
            Column(
                "ssim-g0.5_sample",
                "mean over samples of the SSIM of each against x_true, as in ssim-g0.5_mean",
                "higher",
                needs="operator",
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        mean = samples.mean(1, keepdim=True)
        return {
            "ssim-g0.5_mean": ssim(mean, truth.x_true),
            "ssim-g0.5_sample": ssim(samples, truth.x_true),
        }


def ssim(x: Tensor, x_true: Tensor) -> Tensor:
    """Return the mean over s images of the SSIM: (m, s, c, H, W), (m, c, H, W) -> (m,).

    Images go to [0, 1] first: SSIM compares luminances, which have no sign. The usual window of standard deviation 1.5
    needs 11 x 11 pixels; 0.5 (5 x 5) fits the smallest images here, and one definition serves all sizes.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    pairs = x.flatten(0, 1), x_true.repeat_interleave(x.shape[1], 0)
    rows = max(1, VALUES_AT_ONCE // x_true[0].numel())
    values = [
        structural_similarity_index_measure(
            (images + 1) / 2, (true + 1) / 2, sigma=0.5, data_range=1.0, reduction="none"
        ).reshape(-1)  # type: ignore[union-attr] (a tuple comes only with further options)
        for images, true in zip(*(part.split(rows) for part in pairs), strict=True)
    ]
    return torch.cat(values).reshape(x.shape[:2]).mean(1)
