"""Vendi score: the effective number of different samples. Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._distances import within_samples
from bench.metrics._spread import mean_over_blocks
from bench.numerics.distances import distances

__all__ = ["Vendi"]

WIDTH = 0.25  # of the kernel, in data units per pixel


@dataclass(frozen=True)
class Vendi(Metric):
    """Vendi score by itself and over that of as many draws of the posterior."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "Vendi score, the effective number of different samples: exp of the entropy of the eigenvalues of K / s "
            f"with kernel exp(-|x - x'|^2 / (2 D h^2)) of images of D values, h = {WIDTH}; 1 for equal samples, s for "
            "s far ones"
        )
        over = "vendi (effective number of different samples) over the mean of that of as many exact draws"
        return (
            Column("vendi", definition, None, "samples"),
            Column("vendi_ratio", over, 1.0, "1", "reference"),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        score = vendi(within_samples(samples, truth), truth.draws.shape[2])
        return {
            "vendi": score,
            "vendi_ratio": score / mean_over_blocks(vendi_score, truth, samples.shape[1]),
        }


def vendi_score(x: Tensor) -> Tensor:
    """Return the Vendi score of samples (m, s, D) -> (m,), from 1 to s."""
    return vendi(distances(x, x), x.shape[2])


def vendi(within: Tensor, dimension: int) -> Tensor:
    """Return the Vendi score of distances (m, s, s) between images of so many values -> (m,)."""
    kernel = (within.square() / (-2 * dimension * WIDTH**2)).exp()
    shares = torch.linalg.eigvalsh(kernel / within.shape[1]).clamp_min(0)
    return torch.special.entr(shares).sum(1).exp()
