"""How well samples fit the posterior by the score of its density alone, without any draw from it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.metrics.checks import WIDTH_OF_KSD

ROWS = 1024  # of a score at a time


def compute_stein(samples: Tensor, scores: Tensor) -> dict[str, Tensor]:
    """`(m, s, *x)` twice, scores being gradients of log p(x | y) there -> spec id -> `(m,)`."""
    x, scores = samples.flatten(2), scores.flatten(2)
    return {"ksd2-imq": stein_discrepancy(x, scores), "stein_ratio": stein_ratio(x, scores)}


def stein_discrepancy(x: Tensor, scores: Tensor) -> Tensor:
    """Squared kernel Stein discrepancy over D as a U-statistic, `(m, s, D)` twice -> `(m,)`.

    Liu, Lee and Jordan 2016, https://arxiv.org/abs/1602.03253, with the inverse multiquadric kernel k = q^(-1/2),
    q = 1 + |r|^2 / l^2, r = x - x', l^2 = D h^2, of Gorham and Mackey 2017, https://arxiv.org/abs/1703.01717:
    u = s.s' q^(-1/2) + (s - s').r q^(-3/2) / l^2 + D q^(-3/2) / l^2 - 3 |r|^2 q^(-5/2) / l^4.
    """
    num, dimension = x.shape[1:]
    squared_length = dimension * WIDTH_OF_KSD**2
    squares = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square() / squared_length
    q = 1 + squares
    products, own = scores @ x.mT, (scores * x).sum(2)
    pulls = own[:, :, None] + own[:, None] - products - products.mT  # (s - s').r
    trace = (dimension - 3 * squares / q) / squared_length
    u = ((scores @ scores.mT) + (pulls / squared_length + trace) / q) / q.sqrt()
    off_diagonal = u.sum((1, 2)) - u.diagonal(dim1=1, dim2=2).sum(1)
    return off_diagonal / (num * (num - 1) * dimension)


def stein_ratio(x: Tensor, scores: Tensor) -> Tensor:
    """-E[score . (x - mean)] / D, unbiased, `(m, s, D)` twice -> `(m,)`: by parts E[score_i (x_i - c)] = -1."""
    centred = x - x.mean(1, keepdim=True)
    return -(scores * centred).sum((1, 2)) / ((x.shape[1] - 1) * x.shape[2])


def gradient(log_density: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Gradient in x of log_density(x, y) -> (n,), row by row: (n, *x), (n, *y) -> (n, *x)."""
    found = []
    for rows, seen in zip(x.split(ROWS), y.split(ROWS), strict=True):
        rows = rows.detach().requires_grad_()
        found += torch.autograd.grad(log_density(rows, seen).sum(), rows)
    return torch.cat(found)
