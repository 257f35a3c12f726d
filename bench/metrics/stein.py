"""Agreement with the posterior, measured by the score of its density alone, without any draw from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth

__all__ = ["Stein"]

WIDTH = 0.1  # of the kernel, in data units per pixel
BEYOND = 1000.0  # values of samples that have diverged: the kernel of two of them is zero
IDS = ("ksd2-imq", "stein_ratio")


@dataclass(frozen=True)
class Stein(Metric):
    """Kernel Stein discrepancy, and the ratio of variances by Stein's identity."""

    # values of an image: the gradient of a density in float64 costs seconds a run for larger ones
    largest: int = 1024

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "ksd2-imq",
                "unbiased squared kernel Stein discrepancy per pixel, from the score of the posterior density alone; "
                f"kernel (1 + |x - x'|^2 / (D h^2))^(-1/2) of images of D values, h = {WIDTH}; 0 for a "
                "perfect sampler, so single values may be negative. With dozens of samples of many pixels it sees "
                "bias and collapse; spread is for stein_ratio; blind to the weights of far modes. With samples beyond "
                f"{BEYOND:g}, of which no two see each other, the pairs of each with itself count, too",
                "lower",
                "1 / data units^2",
                "score",
            ),
            Column(
                "stein_ratio",
                "-E[score(x) . (x - mean of the samples)] / D, from the score of the posterior density alone: 1 for "
                "samples of it (Stein's identity); below 1 samples are too close together, above 1 they spread too "
                "far. It weighs directions by their precision, and is blind to the weights of far modes",
                1.0,
                needs="score",
            ),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        is_large = truth.draws.shape[2] > self.largest
        return (
            dict.fromkeys(IDS, f"n/a (images of more than {self.largest} values)")
            if is_large
            else {}
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        assert truth.score is not None
        rows = truth.y.repeat_interleave(samples.shape[1], 0)
        scores = truth.score(samples.flatten(0, 1), rows).view_as(samples).flatten(2)
        x = samples.flatten(2)
        return {"ksd2-imq": stein_discrepancy(x, scores), "stein_ratio": stein_ratio(x, scores)}


def stein_discrepancy(x: Tensor, scores: Tensor) -> Tensor:
    """Return the squared kernel Stein discrepancy over D as a U-statistic, `(m, s, D)` twice -> `(m,)`.

    Liu, Lee and Jordan 2016, https://arxiv.org/abs/1602.03253, with the inverse multiquadric kernel k = q^(-1/2),
    q = 1 + |r|^2 / l^2, r = x - x', l^2 = D h^2, of Gorham and Mackey 2017, https://arxiv.org/abs/1703.01717:
    u = s.s' q^(-1/2) + (s - s').r q^(-3/2) / l^2 + D q^(-3/2) / l^2 - 3 |r|^2 q^(-5/2) / l^4.
    """
    num, dimension = x.shape[1:]
    squared_length = dimension * WIDTH**2
    squares = (
        torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square() / squared_length
    )
    q = 1 + squares
    products, own = scores @ x.mT, (scores * x).sum(2)
    pulls = own[:, :, None] + own[:, None] - products - products.mT  # (s - s').r
    trace = (dimension - 3 * squares / q) / squared_length
    u = ((scores @ scores.mT) + (pulls / squared_length + trace) / q) / q.sqrt()
    own_pairs = u.diagonal(dim1=1, dim2=2).sum(1)
    off_diagonal = u.sum((1, 2)) - own_pairs
    diverged = x.abs().amax((1, 2)) > BEYOND
    return (off_diagonal + torch.where(diverged, own_pairs, 0.0)) / (num * (num - 1) * dimension)


def stein_ratio(x: Tensor, scores: Tensor) -> Tensor:
    """Return -E[score . (x - mean)] / D, unbiased, `(m, s, D)` twice -> `(m,)`: by parts E[score_i (x_i - c)] = -1."""
    centred = x - x.mean(1, keepdim=True)
    return -(scores * centred).sum((1, 2)) / ((x.shape[1] - 1) * x.shape[2])
