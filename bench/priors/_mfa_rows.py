"""The score of a mixture of factor analysers where each row has a noise level of its own.

The costly part of a noise level is F_k^T diag(p_k) F_k, p_k = 1 / (psi_k + sigma^2), r x r for each component. Its
entries, and the sums of log p_k, are analytic in t = log sigma^2 where |Im t| < pi (their poles are at sigma^2 = -psi).
So they are interpolated between Chebyshev nodes: over the levels LOWEST to HIGHEST each node reduces the error by a
factor of 1.31 (Trefethen, Approximation Theory and Approximation Practice, theorem 8.2), and NUM_NODES reduce it to
that of rounding. Everything is float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bench.priors._mixture_score import is_differentiated

LOWEST, HIGHEST = 0.0019, 210.0  # noise levels, a little beyond `sigma_range`
NUM_NODES = 120
ROWS_AT_ONCE = (
    16  # few enough for their numbers for all components and pixels to fit into the cache
)


class Tabled(NamedTuple):
    """A mixture with tables over noise levels: log_weights (K,), centres (K, D), factors (K, r, D), psi (K, D).

    grams: F_k^T diag(p_k) F_k at the nodes (T, K r r); log_dets: sums of -log p_k there (T, K).
    """

    log_weights: Tensor
    centres: Tensor
    factors: Tensor
    psi: Tensor
    grams: Tensor
    log_dets: Tensor

    @classmethod
    def of(cls, weights: Tensor, centres: Tensor, factors: Tensor, psi: Tensor) -> Tabled:
        """Return the mixture with its table, on the device of `weights`."""
        grams, log_dets = [], []
        for variance in _nodes()[0].exp().tolist():
            noisy = psi + variance
            grams.append(((factors / noisy[:, None]) @ factors.mT).flatten())
            log_dets.append(noisy.log().sum(1))
        parts = (weights.double().log(), centres, factors, psi)
        return cls(*parts, torch.stack(grams), torch.stack(log_dets))

    def roots(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return Cholesky factors of I + F_k^T diag(p_k) F_k (K, n, r, r) and log det S_k (K, n), at variances (n,)."""
        share = interpolation(variance.log())
        k, rank, _ = self.factors.shape
        small = (share @ self.grams).view(-1, k, rank, rank).transpose(0, 1)
        root = torch.linalg.cholesky(small + torch.eye(rank).to(small))
        log_det = 2 * root.diagonal(dim1=2, dim2=3).log().sum(2)
        return root, log_det + (share @ self.log_dets).T

    def precise(self, u: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return p_k and u - m_k for all components and rows, (K, n, D) each."""
        precision = 1 / (self.psi[:, None] + variance[None, :, None])
        return precision, u - self.centres[:, None]


class Row(NamedTuple):
    """Terms of the score and its derivative: responsibilities (K, n), roots, solved loadings, p_k and u - m_k."""

    share: Tensor
    root: Tensor  # as `Tabled.roots` gives it
    answer: Tensor  # (I + F_k^T diag(p_k) F_k)^-1 F_k^T p_k (u - m_k), (K, n, r)
    precision: Tensor
    centred: Tensor

    @classmethod
    def at(cls, mixture: Tabled, u: Tensor, variance: Tensor) -> Row:
        """Return the terms at u (n, D) with noise of variance (n,)."""
        precision, centred = mixture.precise(u, variance)
        root, log_det = mixture.roots(variance)
        weighted = precision * centred
        loaded = (weighted @ mixture.factors.mT)[..., None]
        white = torch.linalg.solve_triangular(root, loaded, upper=False)
        squares = (weighted * centred).sum(2) - white.square().sum((2, 3))
        share = (mixture.log_weights[:, None] - (squares + log_det) / 2).softmax(0)
        answer = torch.linalg.solve_triangular(root.mT, white, upper=True)[..., 0]
        return cls(share, root, answer, precision, centred)

    def derivative(self, mixture: Tabled, v: Tensor) -> Tensor:
        """Return the derivative of the score along v (n, D), which is also its product with v from the left."""
        precision, share = self.precision, self.share
        pulls = precision * (self.centred - self.answer @ mixture.factors)
        along = (pulls * v).sum(2)
        spread = share * (along - (share * along).sum(0))
        ahead = precision * v
        loaded = (ahead @ mixture.factors.mT)[..., None]
        solved = torch.cholesky_solve(loaded, self.root)[..., 0]
        solved = ahead - precision * (solved @ mixture.factors)
        return (spread[:, :, None] * pulls - share[:, :, None] * solved).sum(0)


class RowScore(torch.autograd.Function):
    """The score at u (n, D) with noise of variance (n,); other outputs are kept for its derivative in u."""

    @staticmethod
    def forward(u: Tensor, variance: Tensor, *tabled: Tensor) -> tuple[Tensor, ...]:
        mixture = Tabled(*tabled)
        row = Row.at(mixture, u, variance)
        pulls = row.precision * row.centred - row.precision * (row.answer @ mixture.factors)
        return -(row.share[:, :, None] * pulls).sum(0), row.share, row.root, row.answer

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, v: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        u, variance, *tabled, share, root, answer = ctx.saved_tensors
        mixture = Tabled(*tabled)
        if is_differentiated(u):
            row = Row.at(mixture, u, variance)
        else:
            row = Row(share, root, answer, *mixture.precise(u, variance))
        return row.derivative(mixture, v), *[None] * (len(tabled) + 1)

    @staticmethod
    def jvp(ctx, v: Tensor, *_: None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        u, variance, *tabled = ctx.saved_tensors
        mixture = Tabled(*tabled)
        return Row.at(mixture, u, variance).derivative(mixture, v), None, None, None


def interpolation(t: Tensor) -> Tensor:
    """Return the weights (n, T) of the nodes in the barycentric interpolation at t = log sigma^2 (n,)."""
    nodes, weights = (part.to(t) for part in _nodes())
    apart = t[:, None] - nodes
    hits = apart == 0
    terms = torch.where(hits.any(1, keepdim=True), hits.to(t), weights / apart)
    return terms / terms.sum(1, keepdim=True)


def _nodes() -> tuple[Tensor, Tensor]:
    """Return Chebyshev nodes of the first kind in log sigma^2, and their barycentric weights, (T,) each."""
    angle = (torch.arange(NUM_NODES, dtype=torch.float64) + 0.5) * math.pi / NUM_NODES
    low, high = 2 * math.log(LOWEST), 2 * math.log(HIGHEST)
    signs = 1.0 - 2.0 * (torch.arange(NUM_NODES) % 2)
    return (low + high) / 2 + (high - low) / 2 * angle.cos(), signs * angle.sin()
