"""Frechet distance of features: squared Wasserstein-2 distance of the Gaussians fitted to them."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 32  # points in each set whose Frechet distance is taken, since it depends on their number


def frechet_in_blocks(
    features: Tensor, mean: Tensor, covariance: Tensor, block: int = BLOCK
) -> Tensor:
    """Return the mean Frechet distance of blocks of features `(m, s, F)` to moments `(m, F)`, `(m, F, F)` -> `(m,)`.

    The covariance of few points is too narrow in some directions, so the distance falls with their number. Blocks of a
    fixed size make runs of any s comparable. A remainder is not used, and a set smaller than one block gives NaN.
    """
    num_blocks = features.shape[1] // block
    if num_blocks == 0:
        return features.new_full((len(features),), float("nan"))
    blocks = features[:, : num_blocks * block].unflatten(1, (num_blocks, block))
    return frechet_distance(*moments(blocks), mean[:, None], covariance[:, None]).mean(1)


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean `(..., F)` and unbiased covariance `(..., F, F)` of points `(..., n, F)`."""
    mean = points.mean(-2)
    centred = points - mean[..., None, :]
    return mean, centred.mT @ centred / (points.shape[-2] - 1)


def frechet_distance(
    mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor
) -> Tensor:
    """Return the squared Wasserstein-2 distance of two Gaussians: |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2).

    Heusel et al. 2017, https://arxiv.org/abs/1706.08500. Means `(..., F)`, covariances `(..., F, F)` -> `(...)`.
    """
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp_min(0).sqrt()[..., None, :] @ vectors.mT
    shared = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp_min(0).sqrt().sum(-1)
    traces = (covariance_a + covariance_b).diagonal(dim1=-2, dim2=-1).sum(-1)
    return ((mean_a - mean_b).square().sum(-1) + traces - 2 * shared).clamp_min(0)
