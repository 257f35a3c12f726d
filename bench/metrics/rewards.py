"""How good samples for a reward are: the reward itself, likeness to real images of the class, and diversity."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from bench.metrics.definitions import BLOCK, FEATURES
from bench.numerics.distances import mean_distance_within


class Moments(Protocol):
    """Of the features of real images, one class a row, and what other real images have for a distance to them."""

    mean: Tensor  # (m, F)
    covariance: Tensor  # (m, F, F)
    floor: Tensor  # (m,)


class Rewarding(Protocol):
    """The part of a reward that metrics use, row by row."""

    def log_reward(self, x: Tensor, y: Tensor) -> Tensor: ...  # (n,)
    def features(self, x: Tensor) -> Tensor: ...  # (n, F)
    def real_features(self, y: Tensor) -> Moments: ...


def compute_rewards(samples: Tensor, problem: Rewarding, y: Tensor) -> dict[str, Tensor]:
    """Metrics that need a reward, `(m, s, *x)`, `(m, *y)` -> spec id -> `(m,)`; NaN for fewer than BLOCK samples."""
    s, rows = samples.shape[1], samples.flatten(0, 1)
    features = problem.features(rows).unflatten(0, (-1, s))
    real = problem.real_features(y)
    return {
        "log_reward": problem.log_reward(rows, y.repeat_interleave(s, 0)).unflatten(0, (-1, s)).mean(1),
        f"frechet-{FEATURES}-n{BLOCK}": frechet_in_blocks(features, real.mean, real.covariance),
        f"frechet_floor-{FEATURES}-n{BLOCK}": real.floor,
        f"pairwise-{FEATURES}": mean_distance_within(features),
    }


def frechet_in_blocks(features: Tensor, mean: Tensor, covariance: Tensor, block: int = BLOCK) -> Tensor:
    """Mean Frechet distance of blocks of features `(m, s, F)` to moments `(m, F)`, `(m, F, F)` -> `(m,)`.

    Few points have a covariance too narrow in some directions, so the distance falls with their number. Blocks of one
    size compare runs of any s; what is left over is not used, and a set smaller than one block gives NaN.
    """
    num_blocks = features.shape[1] // block
    if num_blocks == 0:
        return features.new_full((len(features),), float("nan"))
    blocks = features[:, : num_blocks * block].unflatten(1, (num_blocks, block))
    return frechet_distance(*moments(blocks), mean[:, None], covariance[:, None]).mean(1)


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `(..., F)` and unbiased covariance `(..., F, F)` of points `(..., n, F)`."""
    mean = points.mean(-2)
    centred = points - mean[..., None, :]
    return mean, centred.mT @ centred / (points.shape[-2] - 1)


def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> Tensor:
    """Squared Wasserstein-2 distance of two Gaussians: |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2).

    Heusel et al. 2017, https://arxiv.org/abs/1706.08500. Means `(..., F)`, covariances `(..., F, F)` -> `(...)`.
    """
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp_min(0).sqrt()[..., None, :] @ vectors.mT
    shared = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp_min(0).sqrt().sum(-1)
    traces = (covariance_a + covariance_b).diagonal(dim1=-2, dim2=-1).sum(-1)
    return ((mean_a - mean_b).square().sum(-1) + traces - 2 * shared).clamp_min(0)
