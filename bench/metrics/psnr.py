"""Peak signal-to-noise ratio against x_true, by torchmetrics."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth

__all__ = ["PSNR"]

MAX_PSNR = 60.0  # dB; a draw from a finite set of images may hit x_true, and infinity has no mean


@dataclass(frozen=True)
class PSNR(Metric):
    """PSNR of the mean of the samples, and of each sample."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "psnr_mean",
                "PSNR of the mean of the samples against x_true, data range 2, at most 60",
                "higher",
                "dB",
                "operator",
                of_point=True,
            ),
            Column(
                "psnr_sample",
                "mean over samples of the PSNR of each against x_true, data range 2, at most 60 each; a perfect "
                "sampler sits about 3 dB below its own psnr_mean",
                "higher",
                "dB",
                "operator",
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        mean = samples.mean(1, keepdim=True)
        return {"psnr_mean": psnr(mean, truth.x_true), "psnr_sample": psnr(samples, truth.x_true)}


def psnr(x: Tensor, x_true: Tensor) -> Tensor:
    """Return the mean over s images of the PSNR in dB for data in [-1, 1]: (m, s, *x), (m, *x) -> (m,)."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    pairs = x.flatten(2), x_true.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return (
        peak_signal_noise_ratio(*pairs, data_range=2.0, reduction="none", dim=2)
        .clamp(max=MAX_PSNR)
        .mean(1)
    )
