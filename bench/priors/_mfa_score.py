"""The score of a mixture of factor analysers at one noise level, by Woodbury, for all components in a few products.

In the coordinates of the basis, S_k = F_k F_k^T + diag(psi_k + sigma^2) has the inverse diag(p_k) - G_k^T G_k with
p_k = 1 / (psi_k + sigma^2) and G_k = L_k^-1 F_k^T diag(p_k), where L_k L_k^T = I + F_k^T diag(p_k) F_k. So the pull of
a component, a_k = S_k^-1 (u - m_k), and (u - m_k)^T a_k follow from p_k and the loadings G_k (u - m_k) alone. The only
large products are those of u with all F_k^T diag(p_k), and back. As in `_mixture_score`, the derivative of the score
along v is -sum_k r_k S_k^-1 v + sum_k r_k (a_k . v - sum_j r_j a_j . v) a_k with responsibilities r_k; it needs two
such products again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bench.priors._mixture_score import is_differentiated


class Level(NamedTuple):
    """Terms of all components at one noise level.

    log_weights (K,); precision p (K, D); pulled p_k m_k (K, D); scaled F_k^T diag(p_k), stacked (K r, D);
    inverse L_k^-1 (K, r, r); offsets G_k m_k (K, 1, r); constant (K,): log determinants, m_k^T diag(p_k) m_k and
    D log 2 pi.
    """

    log_weights: Tensor
    precision: Tensor
    pulled: Tensor
    scaled: Tensor
    inverse: Tensor
    offsets: Tensor
    constant: Tensor

    def turned(self, v: Tensor) -> Tensor:
        """Return G_k v of v (n, D) for all components, (K, n, r)."""
        products = (v @ self.scaled.T).unflatten(1, self.inverse.shape[:2])
        return products.transpose(0, 1) @ self.inverse.mT

    def loaded(self, u: Tensor) -> Tensor:
        """Return G_k (u - m_k) of u (n, D) for all components, (K, n, r)."""
        return self.turned(u) - self.offsets

    def unloaded(self, weighted: Tensor) -> Tensor:
        """Return sum_k G_k^T weighted_k, (K, n, r) -> (n, D)."""
        return (weighted @ self.inverse).transpose(0, 1).flatten(1) @ self.scaled

    def log_joint(self, u: Tensor, loaded: Tensor) -> Tensor:
        """Return log w_k N(u; m_k, S_k), (n, K)."""
        squares = u.square() @ self.precision.T - 2 * u @ self.pulled.T
        return self.log_weights - 0.5 * (squares - loaded.square().sum(2).T + self.constant)


def level_at(
    variance: float, weights: Tensor, centres: Tensor, factors: Tensor, psi: Tensor
) -> Level:
    """Return the terms of the components at noise of that variance, in the dtype of `weights`.

    weights (K,), centres (K, D), factors transposed (K, r, D), psi (K, D). All but the weights are float64: with strong
    factors and little noise, I + F^T diag(p) F is nearly singular in single precision.
    """
    precision = 1 / (psi + variance)
    scaled = precision[:, None] * factors
    small = scaled @ factors.mT
    small.diagonal(dim1=1, dim2=2).add_(1.0)
    root = torch.linalg.cholesky(small)
    eye = torch.eye(root.shape[1], dtype=root.dtype, device=root.device)
    inverse = torch.linalg.solve_triangular(root, eye, upper=False)
    log_det = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1) - precision.log().sum(1)
    pulled = precision * centres
    offsets = (scaled @ centres[:, :, None]).mT @ inverse.mT
    size = (pulled * centres).sum(1) + centres.shape[1] * math.log(2 * math.pi)
    parts = (precision, pulled, scaled.flatten(0, 1), inverse, offsets, log_det + size)
    return Level(weights.log(), *(part.to(weights.dtype) for part in parts))


def loaded_and_share(at: Level, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return G_k (u - m_k) (K, n, r) and the responsibilities (n, K) at u (n, D)."""
    loaded = at.loaded(u)
    return loaded, at.log_joint(u, loaded).softmax(1)


def derivative(at: Level, u: Tensor, share: Tensor, loaded: Tensor, v: Tensor) -> Tensor:
    """Return the derivative of the score along v (n, D), which is also its product with v from the left."""
    turned = at.turned(v)
    along = (u * v) @ at.precision.T - v @ at.pulled.T - (loaded * turned).sum(2).T
    spread = share * (along - (share * along).sum(1, keepdim=True))
    weighted = share.T[:, :, None] * turned - spread.T[:, :, None] * loaded
    gradient = at.unloaded(weighted)
    gradient += u * (spread @ at.precision)
    gradient -= spread @ at.pulled
    gradient -= v * (share @ at.precision)
    return gradient


class Score(torch.autograd.Function):
    """The score of a mixture at u (n, D); the other outputs are kept for its derivative, as in `_mixture_score`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, *level: Tensor) -> tuple[Tensor, ...]:
        at = Level(*level)
        loaded, share = loaded_and_share(at, u)
        score = at.unloaded(share.T[:, :, None] * loaded)
        score += share @ at.pulled
        score -= u * (share @ at.precision)
        return score, share, loaded

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, v: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        u, *level, share, loaded = ctx.saved_tensors
        at = Level(*level)
        if is_differentiated(u):
            loaded, share = loaded_and_share(at, u)
        return derivative(at, u, share, loaded, v), *[None] * len(level)

    @staticmethod
    def jvp(ctx, v: Tensor, *_: None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        u, *level = ctx.saved_tensors
        at = Level(*level)
        loaded, share = loaded_and_share(at, u)
        return derivative(at, u, share, loaded, v), None, None
