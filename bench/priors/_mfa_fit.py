"""Fit a mixture of factor analysers by expectation maximisation, with factors shrunk where images are few."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.priors._mfa import MFA, ROWS_AT_ONCE
from bench.priors._mfa_basis import IMAGES_AT_ONCE, Basis
from bench.priors._mfa_score import level_at
from bench.runtime.progress import progress

NUM_FOR_CLUSTERS = (
    64  # coordinates with the largest variances, on which k-means makes the first components
)
NUM_SPARE = 8  # directions beyond the rank, with which the leading ones are found in fewer products
NUM_PRODUCTS = 2  # products with the images, for the directions of one update
LEAST_SHARE = 1e-4  # a component's update leaves out images of which it has a smaller share


@dataclass(frozen=True)
class Settings:
    """Settings of the fit: the fields of `MFAFamily` that `fit_mfa` reads."""

    num_components: int
    rank: int
    num_rounds: int
    num_updates: int
    shrinkage: float
    floor: float


@dataclass(frozen=True)
class Component:
    """One factor analyser in the coordinates of the basis, and the images that it was fitted to.

    count: sum of the images' shares; centre (D,), factors (D, r), psi (D,), float32; directions (D, r + NUM_SPARE) with
    which the next update begins.
    """

    count: float
    centre: Tensor
    factors: Tensor
    psi: Tensor
    directions: Tensor


def fit_mfa(x: Tensor, settings: Settings) -> MFA:
    """Fit a mixture to images x (N, *x), by EM from a k-means start, with images and shares in float32.

    The mixture is float64, but its means, factors and psi are float32 numbers.

    psi_k = (N_k S_k + shrinkage S) / (N_k + shrinkage), at least `floor`, with S_k the variances that the factors leave
    unexplained and S their mean over components.
    """
    basis = Basis.fitted(x)
    u = torch.empty(len(x), x[0].numel())
    for part, into in zip(x.split(IMAGES_AT_ONCE), u.split(IMAGES_AT_ONCE), strict=True):
        into.copy_(basis.to(u).coordinates(part.float()))
    share = _clusters(u, settings.num_components)
    components = _start(u, share, settings)
    for last in progress([False] * (settings.num_rounds - 1) + [True], what="fit mfa"):
        components = _maximised(u, share, components, settings)
        weights, centres, factors, psi = _stacked(components)
        if not last:
            exact = (centres.double(), factors.double().mT.contiguous(), psi.double())
            level = level_at(0.0, weights, *exact)
            parts = u.split(ROWS_AT_ONCE)
            share = torch.cat([level.log_joint(p, level.loaded(p)).softmax(1) for p in parts])
    weights, centres, factors, psi = _stacked(components)
    means = basis.images(centres.double()).float()
    weights = weights.double() / weights.double().sum()
    return MFA(weights, means, factors, psi, basis).to(basis.colours)


def _clusters(u: Tensor, num_components: int) -> Tensor:
    """Return the clusters of k-means as shares, (N, K) float32."""
    from sklearn.cluster import KMeans

    clusters = KMeans(num_components, n_init=1, random_state=0)  # pyright: ignore[reportArgumentType] (no stubs)
    strongest = u.var(0).argsort(descending=True, stable=True)[:NUM_FOR_CLUSTERS]
    start = clusters.fit_predict(u[:, strongest].numpy())
    return torch.nn.functional.one_hot(torch.from_numpy(start).long(), num_components).float()


def _start(u: Tensor, share: Tensor, settings: Settings) -> list[Component]:
    """Return components without factors, with random directions from which the search for factors begins."""
    (num, size), num_directions = u.shape, settings.rank + NUM_SPARE
    variances = (u - share @ (share.T @ u / share.sum(0)[:, None].clamp_min(1))).square().sum(0)
    psi = (variances / num).clamp_min(settings.floor)
    rng = Rng(("fit", "mfa"), range(share.shape[1]), dtype=torch.float32)
    none = torch.zeros(size, settings.rank)
    return [
        Component(0.0, torch.zeros(size), none, psi, directions)
        for directions in rng.randn((size, num_directions))
    ]


def _maximised(
    u: Tensor, share: Tensor, components: list[Component], settings: Settings
) -> list[Component]:
    """Return the components after `num_updates` updates of factors and psi, given the images' shares (N, K)."""
    mean_psi = torch.stack([c.psi * c.count for c in components]).sum(0) / len(u)
    if not mean_psi.any():
        mean_psi = components[0].psi
    return [
        _component(u, weights, component, mean_psi, settings)
        for weights, component in zip(share.T, components, strict=True)
    ]


def _component(
    u: Tensor, weights: Tensor, component: Component, mean_psi: Tensor, settings: Settings
) -> Component:
    rows = (weights > LEAST_SHARE).nonzero()[:, 0]
    weights, x = weights[rows], u[rows]
    count = max(weights.sum().item(), 1e-6)
    centre = weights @ x / count
    x = (x - centre).mul_((weights / count).sqrt()[:, None])
    variances = x.square().sum(0)
    psi, factors, directions = component.psi, component.factors, component.directions
    for _ in range(settings.num_updates):
        strength, directions = _leading(x / psi.sqrt(), directions)
        kept = shrunk(strength[: settings.rank], u.shape[1] / count)
        factors = psi.sqrt()[:, None] * directions[:, : settings.rank] * kept.sqrt()
        left = (variances - factors.square().sum(1)).clamp_min(0)
        total = count + settings.shrinkage
        psi = ((count * left + settings.shrinkage * mean_psi) / total).clamp_min(settings.floor)
    return Component(count, centre, factors, psi, directions)


def _leading(x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leading eigenvalues of x^T x, largest first, and their vectors (D, q), by subspace iteration."""
    for _ in range(NUM_PRODUCTS):
        directions = torch.linalg.qr(x.T @ (x @ directions))[0]
    seen = x @ directions
    strength, turn = torch.linalg.eigh((seen.T @ seen).double())
    return strength.flip(0).float(), directions @ turn.flip(1).float()


def shrunk(strength: Tensor, pixels_per_image: float) -> Tensor:
    """Return the variances beyond the noise along directions found in few images, noise having variance 1.

    strength: eigenvalues of the sample covariance of n images of D pixels, D / n = `pixels_per_image`. Noise alone
    reaches (1 + sqrt(D / n))^2. Above, an eigenvalue l > 1 of the true covariance appears as l + l D / n / (l - 1), and
    the direction found has squared cosine c^2 with the true one, so the variance along it is 1 + c^2 (l - 1).
    Johnstone and Paul, PCA in high dimensions, Proceedings of the IEEE 2018, https://doi.org/10.1109/JPROC.2018.2846730
    """
    gamma = pixels_per_image
    seen = strength > (1 + math.sqrt(gamma)) ** 2
    half = (1 + strength - gamma) / 2
    beyond = half + (half.square() - strength).clamp_min(0).sqrt() - 1  # l - 1
    beyond = torch.where(seen, beyond, 1.0)
    cosine = (1 - gamma / beyond.square()) / (1 + gamma / beyond)
    return torch.where(seen, beyond * cosine.clamp_min(0), 0.0)


def _stacked(components: list[Component]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return weights, centres, factors and psi of all components."""
    counts = torch.tensor([component.count for component in components])
    centres, factors, psi = (
        torch.stack([getattr(component, name) for component in components])
        for name in ("centre", "factors", "psi")
    )
    return counts / counts.sum(), centres, factors, psi
