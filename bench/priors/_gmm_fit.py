"""Fit the mixture by maximum likelihood with covariances shrunk towards their pooled mean, and check its decoder."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.priors._mixture import GMM


def fit_gmm(
    x: Tensor,
    num_components: int,
    shrinkage: float,
    floor: float,
    num_iterations: int = 100,
    seed: int = 0,
) -> GMM:
    """Fit a mixture to x (n, *x) by EM from a k-means start, in float64.

    C_k = (N_k S_k + shrinkage * S) / (N_k + shrinkage) + floor * I, with S the pooled within-component covariance.
    Shrinkage is needed since digits have about as many images per component as pixels; `floor` (data units squared)
    keeps the variance of pixels that never change above 0.
    """
    from sklearn.cluster import KMeans

    flat = x.flatten(1).double()
    clusters = KMeans(num_components, n_init=4, random_state=seed)  # pyright: ignore[reportArgumentType] (no stubs)
    start = clusters.fit_predict(flat.numpy())
    responsibility = torch.nn.functional.one_hot(
        torch.from_numpy(start).long(), num_components
    ).double()
    mixture = _maximise(flat, responsibility, shrinkage, floor)
    for _ in range(num_iterations - 1):
        responsibility = mixture.log_joint(flat).softmax(1)
        mixture = _maximise(flat, responsibility, shrinkage, floor)
    return GMM(mixture.weights, mixture.means.unflatten(1, x.shape[1:]), mixture.covariances)


def _maximise(flat: Tensor, responsibility: Tensor, shrinkage: float, floor: float) -> GMM:
    counts = responsibility.sum(0).clamp_min(1e-6)
    means = responsibility.T @ flat / counts[:, None]
    centred = [flat - mean for mean in means]
    scatter = torch.stack(
        [(x.T * weight) @ x for x, weight in zip(centred, responsibility.T, strict=True)]
    )
    pooled = scatter.sum(0) / len(flat)
    eye = torch.eye(flat.shape[1], dtype=flat.dtype)
    covariances = (scatter + shrinkage * pooled) / (counts + shrinkage)[:, None, None] + floor * eye
    return GMM(counts / counts.sum(), means, covariances)


def decoder_card(mixture: GMM, num_rows: int = 1024) -> dict:
    """Return the decoder's errors as RMS: against finer steps of its ODE, and against a start at more noise."""
    # many rows, since a few in a thousand have the largest errors
    z = Rng(("decoder card",), (0,)).randn((num_rows, *mixture.latent_shape))[0]
    fine = dataclasses.replace(mixture, num_ode_steps=60)  # its own error is a few 1e-6
    far = dataclasses.replace(mixture, num_ode_steps=80, sigma_max=8 * mixture.sigma_max)
    decoded, reference, further = (
        torch.cat([f.decode(part) for part in z.split(256)]) for f in (mixture, fine, far)
    )

    def rms(difference: Tensor) -> float:
        return difference.square().mean().sqrt().item()

    return {
        "evaluations": mixture.decode_nfe,
        "sigma_max": mixture.sigma_max,
        "rms_error_against_fine_integrator": rms(decoded - reference),
        "max_error_against_fine_integrator": (decoded - reference).abs().max().item(),
        "rms_change_from_larger_sigma_max": rms(reference - further),
    }
