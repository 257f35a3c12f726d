"""PSNR of the mean of the first samples, by how many of them are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics.psnr import psnr

__all__ = ["Averaged"]


@dataclass(frozen=True)
class Averaged(Metric):
    """A column for each number of samples that are averaged."""

    num_samples: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)  # means of so many first samples

    tiny: ClassVar[Mapping[str, Any]] = {"num_samples": (1, 2)}

    def __post_init__(self) -> None:
        if not self.num_samples or min(self.num_samples) < 1:
            raise ValueError(f"num_samples: expected counts, got {self.num_samples}")

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(
            Column(
                column_id(k),
                f"PSNR of the mean of the first {k} samples against x_true, data range 2, at most 60",
                "higher",
                "dB",
                "operator",
            )
            for k in self.num_samples
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        most = truth.context.num_samples
        return {column_id(k): f"n/a (fewer than {k} samples)" for k in self.num_samples if k > most}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        counts = [k for k in self.num_samples if k <= samples.shape[1]]
        return {
            column_id(k): psnr(samples[:, :k].mean(1, keepdim=True), truth.x_true) for k in counts
        }


def column_id(num_averaged: int) -> str:
    """Return the id of the column of a mean of so many samples."""
    return f"psnr_mean_of_{num_averaged}"
