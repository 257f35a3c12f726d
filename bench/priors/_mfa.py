"""A mixture of factor analysers whose denoiser, score, density and flow are exact at thousands of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Cap, Random
from bench.numerics.diffusion import rk4
from bench.priors import _mfa_rows as by_row
from bench.priors._dtype import refuse_other_dtype
from bench.priors._mfa_basis import Basis, Turned
from bench.priors._mfa_score import Level, Score, level_at
from bench.priors._mixture_score import refuse_derivative_in_sigma

# rows of one product: with more of them, what is kept for the derivative does not fit into the cache
ROWS_AT_ONCE = 512
# rows per noise level from which on it is faster to work level by level
ROWS_PER_LEVEL = 8


@dataclass(frozen=True, eq=False)
class MFA:
    """p(x) = sum_k w_k N(x; mu_k, B (F_k F_k^T + diag psi_k) B^T) over images `*x`, B an orthonormal basis, D pixels.

    weights (K,), means (K, *x), factors (K, D, r), psi (K, D), in data units. Every tensor given to a method of this
    class has the mixture's dtype and device.

    On whole images: Richardson and Weiss 2018, https://arxiv.org/abs/1805.12462
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    psi: Tensor
    basis: Basis
    sigma_max: float = 100.0  # where the probability-flow ODE starts
    num_ode_steps: int = 14
    smallest_variance: float = (
        1e-4  # the ODE does not resolve finer differences of the noise variance
    )

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    # useful noise levels; the denoiser is exact beyond them, too
    sigma_range: ClassVar[tuple[float, float]] = (0.002, 200.0)
    sample_nfe: ClassVar[int] = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.means.shape[1:])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def decode_nfe(self) -> int:
        return 4 * self.num_ode_steps

    def to(self, like: Tensor) -> MFA:
        """Return the mixture with the dtype and on the device of a tensor."""
        names = ("weights", "means", "factors", "psi", "basis")
        return replace(self, **{name: getattr(self, name).to(like) for name in names})

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates of images in the basis, (n, *x) -> (n, D)."""
        return Turned.apply(x, self.basis, False)

    def images(self, u: Tensor) -> Tensor:
        """Return the images with these coordinates, (n, D) -> (n, *x)."""
        return Turned.apply(u, self.basis, True)

    def diagonals(self, values: Tensor) -> Tensor:
        """Return the variances of pixels whose coordinates have these variances, (n, D) -> (n, *x)."""
        return self.basis.diagonals(values)

    @property
    def groups(self) -> Tensor:
        """Return the number of each coordinate's group (D,); operators may keep groups apart, see `Basis.groups`."""
        return self.basis.groups()

    @cached_property
    def centres(self) -> Tensor:
        """Return the means in the basis, (K, D)."""
        return self.basis.coordinates(self.means)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`."""
        uniform = rng.rand((num_samples,))
        component = torch.searchsorted(self.weights.cumsum(0), uniform).clamp_max(
            len(self.weights) - 1
        )
        rank, size = self.factors.shape[2], self.psi.shape[1]
        noise = rng.randn((num_samples, rank + size)).flatten(0, 1).to(self.psi)
        u = torch.empty_like(noise[:, rank:])
        for k in component.unique().tolist():
            rows = (component.flatten() == k).nonzero()[:, 0]
            common, own = noise[rows].split([rank, size], 1)
            u[rows] = self.centres[k] + common @ self.factors[k].T + own * self.psi[k].sqrt()
        return self.basis.images(u).unflatten(0, uniform.shape)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        refuse_other_dtype("denoise", x_t, self.means)
        sigma = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device)
        return x_t + sigma.square().view(-1, *[1] * len(self.shape)) * self.score(x_t, sigma)

    def score(self, x_t: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Return the gradient of log p(x_t; sigma), (n, *x); sigma = 0 gives the score of the prior itself."""
        refuse_other_dtype("score", x_t, self.means)
        refuse_derivative_in_sigma(sigma)
        if torch.is_tensor(sigma) and sigma.dim():
            return self._score_by_row(x_t, sigma)
        level = self._at(float(sigma) ** 2)
        parts = (self.coordinates(rows) - self._mean for rows in x_t.split(ROWS_AT_ONCE))
        return self.images(torch.cat([Score.apply(part, *level)[0] for part in parts]))

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Return log p(x; sigma) in nats, (n,): the density of x + sigma eps, at sigma = 0 of the prior itself."""
        return self.log_joint(x, sigma).logsumexp(1)

    def log_joint(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Return log w_k N(x; mu_k, C_k + sigma^2 I) for every component, (n, K)."""
        refuse_other_dtype("log_prob", x, self.means)
        if torch.is_tensor(sigma) and sigma.dim():
            rows = zip(x, sigma.expand(len(x)), strict=True)
            return torch.cat([self.log_joint(row[None], level) for row, level in rows])
        level = self._at(float(sigma) ** 2)
        parts = (self.coordinates(rows) - self._mean for rows in x.split(ROWS_AT_ONCE))
        return torch.cat([level.log_joint(part, level.loaded(part)) for part in parts])

    def log_prob_and_score(self, x: Tensor, sigma: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Return log p(x; sigma) (n,) and its gradient (n, *x)."""
        return self.log_prob(x, sigma), self.score(x, sigma)

    def decode(self, z: Tensor) -> Tensor:
        """Follow the probability-flow ODE from z ~ N(0, I) at sigma_max down to sigma = 0: (n, *z) -> (n, *x).

        The ODE is integrated as in the decoder of `gmm`: in t = log(1 + v / v_0), v = sigma^2, for the state
        u = (c + v)^(-1/2) (x - mu) in the axes of the basis, with c the variance of the whole mixture along each. For a
        Gaussian with these axes u is constant, so that the steps resolve only the differences between components.
        """
        refuse_other_dtype("decode", z, self.means)
        v_0 = self.smallest_variance

        def velocity(u: Tensor, t: Tensor) -> Tensor:
            v = math.expm1(t.item()) * v_0
            scale = (self._variances + v).rsqrt()
            score = Score.apply(u / scale, *self._at(v))[0]
            return -0.5 * (v + v_0) * scale * (score + scale * u)

        start = math.log1p(self.sigma_max**2 / v_0)
        # float64, and on the CPU since each step's value is read
        steps = torch.linspace(start, 0, self.num_ode_steps + 1, dtype=torch.float64)
        parts = [rk4(velocity, self.coordinates(rows), steps) for rows in z.split(ROWS_AT_ONCE)]
        return self.images(self._mean + torch.cat(parts) * self._variances.sqrt())

    def _score_by_row(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the score where each row has its own noise level: by a table for many levels, else level by level."""
        levels, which = sigma.unique(return_inverse=True)
        inside = levels[0] >= by_row.LOWEST and levels[-1] <= by_row.HIGHEST
        if inside and len(levels) * ROWS_PER_LEVEL > len(x_t):
            u, variance = (self.coordinates(x_t) - self._mean).double(), sigma.double().square()
            rows = zip(*(part.split(by_row.ROWS_AT_ONCE) for part in (u, variance)), strict=True)
            scores = [by_row.RowScore.apply(*row, *self._tabled)[0] for row in rows]
            return self.images(torch.cat(scores).to(x_t))
        rows = [(which == i).nonzero()[:, 0] for i in range(len(levels))]
        parts = [self.score(x_t[row], level) for row, level in zip(rows, levels, strict=True)]
        return torch.cat(parts)[torch.cat(rows).argsort()]

    @cached_property
    def _tabled(self) -> by_row.Tabled:
        return by_row.Tabled.of(self.weights, *self._exact)

    def _at(self, variance: float) -> Level:
        """Return the components at a noise level, around the mixture's mean; the last one is kept."""
        if variance not in self._last:
            level = level_at(variance, self.weights, *self._exact)
            self._last.clear()
            self._last[variance] = level
        return self._last[variance]

    @cached_property
    def _exact(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres around the mixture's mean, factors (K, r, D) and psi in float64."""
        factors = self.factors.double().mT.contiguous()
        return (self.centres - self._mean).double(), factors, self.psi.double()

    @cached_property
    def _last(self) -> dict[float, Level]:
        return {}

    @cached_property
    def _mean(self) -> Tensor:
        return self.weights @ self.centres

    @cached_property
    def _variances(self) -> Tensor:
        """Return the variance of the whole mixture along each axis, (D,)."""
        around = (self.centres - self._mean).square()
        return self.weights @ (self.factors.square().sum(2) + self.psi + around)
