"""The score of a mixture of factor analysers at one noise level, by Woodbury, for all components in a few products.

In the coordinates of the basis, S_k = F_k F_k^T + diag(psi_k + sigma^2) has the inverse diag(p_k) - G_k G_k^T with
p_k = 1 / (psi_k + sigma^2) and G_k = diag(p_k) F_k L_k^-T, where L_k L_k^T = I + F_k^T diag(p_k) F_k. So the pull of a
component, S_k^-1 (u - m_k), and its squared length follow from p_k and from the loadings G_k^T (u - m_k) alone: the
products of u with all G_k, and back, are all that is large. As in `_mixture_score`, the derivative of the score along v
is -sum_k r_k S_k^-1 v + sum_k r_k (a_k . v - sum_j r_j a_j . v) a_k with pulls a_k and responsibilities r_k; it needs
two such products again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Level(NamedTuple):
    """What all components have at one noise level; R = K r factors in all.

    log_weights (K,); precision p (K, D); pulled p_k m_k (K, D); loadings G (D, R); offsets G_k^T m_k (R,); constant
    (K,): log determinants, m_k^T diag(p_k) m_k and D log 2 pi.
    """

    log_weights: Tensor
    precision: Tensor
    pulled: Tensor
    loadings: Tensor
    offsets: Tensor
    constant: Tensor

    def loaded(self, u: Tensor) -> Tensor:
        """Return G_k^T (u - m_k) of u (n, D) for all components, (n, K, r)."""
        return (u @ self.loadings - self.offsets).unflatten(1, (len(self.constant), -1))

    def log_joint(self, u: Tensor, loaded: Tensor) -> Tensor:
        """Return log w_k N(u; m_k, S_k), (n, K)."""
        squares = u.square() @ self.precision.T - 2 * u @ self.pulled.T
        return self.log_weights - 0.5 * (squares - loaded.square().sum(2) + self.constant)

    def unloaded(self, weighted: Tensor) -> Tensor:
        """Return sum_k G_k weighted_k, (n, K, r) -> (n, D)."""
        return weighted.flatten(1) @ self.loadings.T


def level_at(
    variance: float, weights: Tensor, centres: Tensor, factors: Tensor, psi: Tensor
) -> Level:
    """Return what the components have at noise of that variance, in the dtype of `weights`.

    weights (K,), centres (K, D), factors (K, D, r), psi (K, D). Computed in float64: strong factors beside little noise
    make I + F^T diag(p) F nearly singular for single precision.
    """
    centres, factors, psi = (tensor.double() for tensor in (centres, factors, psi))
    precision = 1 / (psi + variance)
    weighted = precision[:, :, None] * factors
    small = factors.mT @ weighted
    small.diagonal(dim1=1, dim2=2).add_(1.0)
    root = torch.linalg.cholesky(small)
    eye = torch.eye(root.shape[1], dtype=root.dtype, device=root.device)
    inverse = torch.linalg.solve_triangular(root, eye, upper=False)
    loadings = weighted @ inverse.mT  # (K, D, r)
    log_det = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1) - precision.log().sum(1)
    pulled = precision * centres
    size = (pulled * centres).sum(1) + centres.shape[1] * math.log(2 * math.pi)
    offsets = (centres[:, None] @ loadings).flatten()
    loadings = loadings.transpose(0, 1).flatten(1)
    parts = (precision, pulled, loadings, offsets, log_det + size)
    return Level(weights.log(), *(part.to(weights.dtype).contiguous() for part in parts))


class Score(torch.autograd.Function):
    """The score of a mixture at u (n, D), once differentiable in u; the other outputs are kept for the derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, *level: Tensor) -> tuple[Tensor, ...]:
        at = Level(*level)
        loaded = at.loaded(u)
        share = at.log_joint(u, loaded).softmax(1)
        score = at.unloaded(share[:, :, None] * loaded)
        score += share @ at.pulled
        score -= u * (share @ at.precision)
        return score, share, loaded

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, v: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        u, *level, share, loaded = ctx.saved_tensors
        at = Level(*level)
        turned = (v @ at.loadings).view_as(loaded)
        along = (u * v) @ at.precision.T - v @ at.pulled.T - (loaded * turned).sum(2)
        spread = share * (along - (share * along).sum(1, keepdim=True))
        gradient = -at.unloaded(spread[:, :, None] * loaded - share[:, :, None] * turned)
        gradient += u * (spread @ at.precision)
        gradient -= spread @ at.pulled
        gradient -= v * (share @ at.precision)
        return gradient, *[None] * len(level)
