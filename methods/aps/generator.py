"""The conditional generator: a regression of x on y whose residual is refined by an invertible flow."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .flows import ZERO_ENDS, bounded, make_flow

RIDGE = 0.01  # in measurements
SMALLEST_VARIANCE = 1e-6  # of the base


class Generator(nn.Module):
    """x = G(z; y) = centre + features(y) gain + (scale(y) F(z; y) + shift(y)) root, all rows; float32 inside."""

    y_mean: Tensor
    y_scale: Tensor
    centre: Tensor
    gain: Tensor
    root: Tensor

    def __init__(
        self, shape: tuple[int, ...], y_size: int, width: int, num_layers: int, num_channels: int
    ) -> None:
        super().__init__()
        size = math.prod(shape)
        self.read = nn.Sequential(
            nn.Linear(y_size, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.flow = make_flow(shape, width, num_layers, width, num_channels)
        self.adjust = nn.Linear(width, 2 * size)
        self.register_buffer("y_mean", torch.zeros(y_size))
        self.register_buffer("y_scale", torch.ones(y_size))
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("gain", torch.zeros(y_size, size))
        self.register_buffer("root", torch.eye(size))

    @property
    def ends(self) -> list[str]:
        """Return the layers that start at zero, so that training starts from the base."""
        return [
            name for name, _ in self.named_modules() if name.endswith(ZERO_ENDS) or name == "adjust"
        ]

    @torch.no_grad()
    def fit_base(self, x: Tensor, y: Tensor, base: str, num_used: int | None = None) -> None:
        """Fit the ridge regression of x (n, *x) on y (n, *y), and the symmetric root of its residual covariance.

        num_used: the regression leaves out all numbers of y but the first ones.
        """
        x, y = x.flatten(1).double(), y.flatten(1).double()
        scale = y.std(0)
        self.y_mean.copy_(y.mean(0))
        self.y_scale.copy_(torch.where(scale > 1e-6, scale, 1.0))  # a constant is not scaled up
        if base == "identity":
            return
        features = ((y - self.y_mean) / self.y_scale)[:, :num_used]
        gram = features.T @ features + RIDGE * torch.eye(features.shape[1]).to(x)
        gain = torch.linalg.solve(gram, features.T @ (x - x.mean(0)))
        variances, axes = torch.linalg.eigh(torch.cov((x - features @ gain).T))
        self.centre.copy_(x.mean(0))
        self.gain[:num_used].copy_(gain)
        self.root.copy_((axes * variances.clamp_min(SMALLEST_VARIANCE).sqrt()) @ axes.T)

    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map z (n, *x), y (n, *y) to x (n, *x), log q(x | y) (n,)."""
        context, mean, shift, log_scale = self._read(y)
        u, log_det = self.flow(z.to(context), context)
        x = mean + (u.flatten(1) * log_scale.exp() + shift) @ self.root
        log_q = (
            standard_log_normal(z) - log_det - log_scale.sum(1) - torch.linalg.slogdet(self.root)[1]
        )
        return x.view_as(z).to(y.dtype), log_q.to(y.dtype)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(x | y), x (n, *x), y (n, *y) -> (n,)."""
        return self.inverse(x, y)[1]

    def inverse(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (n, *x), y (n, *y) to z (n, *x), log q(x | y) (n,)."""
        context, mean, shift, log_scale = self._read(y)
        white = torch.linalg.solve(self.root, (x.flatten(1).to(mean) - mean).T).T
        z, log_det = self.flow.inverse(((white - shift) * (-log_scale).exp()).view_as(x), context)
        log_q = (
            standard_log_normal(z) + log_det - log_scale.sum(1) - torch.linalg.slogdet(self.root)[1]
        )
        return z, log_q.to(y.dtype)

    def _read(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the context (n, width), the regression of x on y, and its residual's shift and log scale, (n, D)."""
        features = (y.flatten(1).to(self.y_mean) - self.y_mean) / self.y_scale
        context = self.read(features)
        shift, log_scale = self.adjust(context).chunk(2, 1)
        return context, self.centre + features @ self.gain, shift, bounded(log_scale)


def standard_log_normal(z: Tensor) -> Tensor:
    """Return log N(z; 0, I), (n, ...) -> (n,)."""
    return -(z.flatten(1).square() + math.log(2 * math.pi)).sum(1) / 2
