"""PSNR of the best of several samples, chosen by the likelihood of the measurement and not by x_true.

Papers on phase retrieval report the best of four reconstructions, since a sampler may end in a mirrored or shifted
image. Chosen by x_true, as in released code, this is a number that no user of a method can reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics.psnr import psnr

__all__ = ["BestOf"]


@dataclass(frozen=True)
class BestOf(Metric):
    """A column for each size of the groups of samples of which the best is taken."""

    num_samples: tuple[int, ...] = (4,)  # in a group

    tiny: ClassVar[Mapping[str, Any]] = {"num_samples": (2,)}

    def __post_init__(self) -> None:
        if not self.num_samples or min(self.num_samples) < 2:
            raise ValueError(f"num_samples: expected counts of 2 or more, got {self.num_samples}")

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(
            Column(
                column_id(k),
                f"mean over groups of {k} samples of the PSNR of the one under which y is likeliest (with Gaussian "
                "noise: whose residual is smallest), data range 2, at most 60 each",
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
        likely = truth.log_likelihood(samples)
        return {
            column_id(k): psnr(best_of_groups(samples, likely, k), truth.x_true)
            for k in self.num_samples
            if k <= samples.shape[1]
        }


def best_of_groups(samples: Tensor, score: Tensor, size: int) -> Tensor:
    """Return the sample with the highest score of each group of `size` successive ones, (m, s // size, *x).

    samples: (m, s, *x). score: (m, s). Samples after the last whole group are left out.
    """
    m, num_groups = len(samples), samples.shape[1] // size
    kept = score[:, : num_groups * size].unflatten(1, (num_groups, size))
    groups = samples[:, : num_groups * size].unflatten(1, (num_groups, size))
    index = kept.argmax(2).view(m, num_groups, *[1] * (samples.dim() - 1))
    return groups.take_along_dim(index, 2).squeeze(2)


def column_id(size: int) -> str:
    """Return the id of the column of groups of a size."""
    return f"psnr_best_of_{size}"
