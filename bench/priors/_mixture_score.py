"""The pulls a_k = S_k^-1 (x - mu_k), S_k = C_k + sigma^2 I, of a mixture's components, and the score made of them.

log w_k N(x; mu_k, S_k) has gradient -a_k, so the score is s = -sum_k r_k a_k with responsibilities r. Its derivative
along v is -sum_k r_k S_k^-1 v + sum_k r_k (a_k . v - sum_j r_j a_j . v) a_k. A vector-Jacobian product in this form
costs as much as the score; by automatic differentiation it costs three times as much. The Jacobian is symmetric, so
that the product with a vector on the other side is the same. Where a derivative of it is needed, it is computed by
differentiable steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad


class Pulls(Protocol):
    """The pulls a_k = S_k^-1 (x - mu_k) of K components on n rows, as the score and its derivative need them."""

    @property
    def mahalanobis(self) -> Tensor: ...  # (x - mu_k)^T S_k^-1 (x - mu_k), (n, K)
    @property
    def log_det(self) -> Tensor: ...  # of S_k, (K,) or (n, K)
    def combined(self, weights: Tensor) -> Tensor: ...  # sum_k weights_k a_k: (n, K) -> (n, D)
    def along(self, v: Tensor) -> Tensor: ...  # a_k . v: (n, D) -> (n, K)
    # sum_k weights_k S_k^-1 v: -> (n, D)
    def precision(self, weights: Tensor, v: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class SharedNoise:
    """One noise level for all rows: a_k = products_k - shift_k, with products_k = S_k^-1 x from one matrix product."""

    mahalanobis: Tensor
    log_det: Tensor
    products: Tensor  # (n, K, D)
    shift: Tensor  # S_k^-1 mu_k, (K, D)
    inverses: Tensor  # S_k^-1, (K, D, D)

    def combined(self, weights: Tensor) -> Tensor:
        return torch.bmm(weights[:, None], self.products)[:, 0] - weights @ self.shift

    def along(self, v: Tensor) -> Tensor:
        return torch.bmm(self.products, v[:, :, None])[:, :, 0] - v @ self.shift.T

    def precision(self, weights: Tensor, v: Tensor) -> Tensor:
        return (weights[:, :, None] * v[:, None]).flatten(1) @ self.inverses.flatten(0, 1)


@dataclass(frozen=True)
class RowNoise:
    """A noise level for each row: all terms are in the components' eigenbases, where S_k is diagonal."""

    mahalanobis: Tensor
    log_det: Tensor
    white: Tensor  # a_k in its eigenbasis, (n, K, D)
    spectrum: Tensor  # of S_k, (n, K, D)
    axes: Tensor  # (K, D, D), an eigenvector in each row

    def combined(self, weights: Tensor) -> Tensor:
        return self._back(weights[:, :, None] * self.white)

    def along(self, v: Tensor) -> Tensor:
        return (self.white * self._forth(v)).sum(2)

    def precision(self, weights: Tensor, v: Tensor) -> Tensor:
        return self._back(weights[:, :, None] * self._forth(v) / self.spectrum)

    def _forth(self, v: Tensor) -> Tensor:
        return (v @ self.axes.flatten(0, 1).T).unflatten(1, self.axes.shape[:2])

    def _back(self, white: Tensor) -> Tensor:
        return white.flatten(1) @ self.axes.flatten(0, 1)


def precisions(
    sigma: Tensor, means: Tensor, spectrum: Tensor, vectors: Tensor
) -> tuple[Tensor, Tensor]:
    """Return S_k^-1 (K, D, D) and S_k^-1 mu_k (K, D) at one noise level sigma ()."""
    inverses = (vectors / (spectrum + sigma.square())[:, None]) @ vectors.mT
    return inverses, (inverses @ means[:, :, None])[:, :, 0]


def pulls(
    x: Tensor, sigma: Tensor, means: Tensor, spectrum: Tensor, vectors: Tensor, *known: Tensor
) -> SharedNoise | RowNoise:
    """Return the pulls at x (n, D) and sigma () or (n,).

    means (K, D), spectrum (K, D) and vectors (K, D, D) of the covariances; known: the `precisions` at this sigma (), if
    the caller has them.
    """
    if sigma.dim() == 0:
        variances = spectrum + sigma.square()
        inverses, shift = known or precisions(sigma, means, spectrum, vectors)
        products = (x @ inverses.flatten(0, 1).T).unflatten(1, shift.shape)
        mahalanobis = (
            torch.bmm(products, x[:, :, None])[:, :, 0] - 2 * x @ shift.T + (means * shift).sum(1)
        )
        return SharedNoise(mahalanobis, variances.log().sum(1), products, shift, inverses)
    variances = spectrum + sigma.square()[:, None, None]
    axes = vectors.mT.contiguous()
    centred = (x @ axes.flatten(0, 1).T).unflatten(1, means.shape) - (axes @ means[:, :, None])[
        :, :, 0
    ]
    white = centred / variances
    return RowNoise((white * centred).sum(2), variances.log().sum(2), white, variances, axes)


def log_joint(a: Pulls, weights: Tensor, dimension: int) -> Tensor:
    """Return log w_k N(x; mu_k, S_k), (n, K)."""
    return weights.log() - 0.5 * (a.mahalanobis + a.log_det + dimension * math.log(2 * math.pi))


def derivative(a: Pulls, responsibility: Tensor, v: Tensor) -> Tensor:
    """Return the derivative of the score along v (n, D), which is also its product with v from the left."""
    along = a.along(v)
    spread = responsibility * (along - (responsibility * along).sum(1, keepdim=True))
    return a.combined(spread) - a.precision(responsibility, v)


def is_differentiated(x: Tensor) -> bool:
    """Return whether a derivative at x may itself be differentiated, by autograd or in forward mode."""
    return torch.is_grad_enabled() or forward_ad.unpack_dual(x).tangent is not None


def refuse_derivative_in_sigma(sigma: Tensor | float) -> None:
    """Raise ValueError if a gradient in the noise level is needed, which mixtures do not have."""
    if torch.is_tensor(sigma) and (
        sigma.requires_grad or forward_ad.unpack_dual(sigma).tangent is not None
    ):
        raise ValueError(
            "prior.denoise: a mixture has derivatives in x_t only, not in sigma; pass sigma.detach()"
        )


class Score(torch.autograd.Function):
    """The score of a mixture at x (n, D); the other outputs are kept for its derivative in x.

    It has derivatives of all orders in x, backward and forward. The kept outputs have no graph, so that a derivative
    that is itself differentiated is computed anew from x.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, sigma: Tensor, weights: Tensor, *mixture: Tensor) -> tuple[Tensor, ...]:
        a = pulls(x, sigma, *mixture)
        responsibility = log_joint(a, weights, x.shape[1]).softmax(1)
        kept = (getattr(a, field.name) for field in fields(a))
        # views, since an autograd function must not return an input
        return -a.combined(responsibility), responsibility, *(t.view_as(t) for t in kept)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.kind, ctx.num_inputs = RowNoise if inputs[1].dim() else SharedNoise, len(inputs)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])
        ctx.save_for_forward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx, v: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, kept = ctx.saved_tensors[: ctx.num_inputs], ctx.saved_tensors[ctx.num_inputs :]
        if is_differentiated(inputs[0]):
            gradient = Score._differentiable(v, *inputs)
        else:
            gradient = derivative(ctx.kind(*kept[1:]), kept[0], v)
        return gradient, *[None] * (ctx.num_inputs - 1)

    @staticmethod
    def jvp(ctx, v: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        num_kept = len(ctx.saved_tensors) - ctx.num_inputs
        along = Score._differentiable(v, *ctx.saved_tensors[: ctx.num_inputs])
        return along, *[None] * num_kept

    @staticmethod
    def _differentiable(
        v: Tensor, x: Tensor, sigma: Tensor, weights: Tensor, *mixture: Tensor
    ) -> Tensor:
        a = pulls(x, sigma, *mixture)
        return derivative(a, log_joint(a, weights, x.shape[1]).softmax(1), v)
