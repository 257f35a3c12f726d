"""Likeness of images to x_true, by torchmetrics."""

from __future__ import annotations

import torch
from torch import Tensor

VALUES_AT_ONCE = 2**14  # pixels times channels; SSIM takes a thousand bytes for each
MAX_PSNR = 60.0  # dB; a draw from a finite set of images may hit x_true, and infinity has no mean


def psnr(x: Tensor, x_true: Tensor) -> Tensor:
    """Mean over s images of the PSNR in dB for data in [-1, 1]: `(m, s, *x)`, `(m, *x)` -> `(m,)`."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    pairs = x.flatten(2), x_true.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return peak_signal_noise_ratio(*pairs, data_range=2.0, reduction="none", dim=2).clamp(max=MAX_PSNR).mean(1)


def ssim(x: Tensor, x_true: Tensor) -> Tensor:
    """Mean over s images of the SSIM: `(m, s, c, H, W)`, `(m, c, H, W)` -> `(m,)`.

    Images go to [0, 1] first: SSIM compares luminances, which have no sign. The usual window of standard deviation 1.5
    needs 11 x 11 pixels; 0.5 (5 x 5) fits the smallest images here, and one definition serves all sizes.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    pairs = x.flatten(0, 1), x_true.repeat_interleave(x.shape[1], 0)
    rows = max(1, VALUES_AT_ONCE // x_true[0].numel())
    blocks = zip(*(((images + 1) / 2).split(rows) for images in pairs), strict=True)
    options = {"sigma": 0.5, "data_range": 1.0, "reduction": "none"}
    values = [structural_similarity_index_measure(*block, **options).reshape(-1) for block in blocks]
    return torch.cat(values).reshape(x.shape[:2]).mean(1)
