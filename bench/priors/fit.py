"""Maximum-likelihood fit of the mixture, with covariances shrunk towards their pooled mean."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.priors.gmm import GMM


def fit_gmm(
    x: Tensor, num_components: int, shrinkage: float, floor: float, num_iterations: int = 100, seed: int = 0
) -> GMM:
    """EM for x (n, *x) from a k-means start, in float64.

    C_k = (N_k S_k + shrinkage * S) / (N_k + shrinkage) + floor * I with S the pooled within-component covariance:
    the digits have about as many images per component as pixels, and `floor` (data units squared) keeps pixels that
    never change from having no noise at all.
    """
    from sklearn.cluster import KMeans

    flat = x.flatten(1).double()
    start = KMeans(num_components, n_init=4, random_state=seed).fit_predict(flat.numpy())
    responsibility = torch.nn.functional.one_hot(torch.from_numpy(start).long(), num_components).double()
    for _ in range(num_iterations):
        mixture = _maximise(flat, responsibility, shrinkage, floor)
        responsibility = mixture.log_joint(flat).softmax(1)
    return GMM(mixture.weights, mixture.means.unflatten(1, x.shape[1:]), mixture.covariances)


def _maximise(flat: Tensor, responsibility: Tensor, shrinkage: float, floor: float) -> GMM:
    counts = responsibility.sum(0).clamp_min(1e-6)
    means = responsibility.T @ flat / counts[:, None]
    centred = [flat - mean for mean in means]
    scatter = torch.stack([(x.T * weight) @ x for x, weight in zip(centred, responsibility.T, strict=True)])
    pooled = scatter.sum(0) / len(flat)
    eye = torch.eye(flat.shape[1], dtype=flat.dtype)
    covariances = (scatter + shrinkage * pooled) / (counts + shrinkage)[:, None, None] + floor * eye
    return GMM(counts / counts.sum(), means, covariances)
