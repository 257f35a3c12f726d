"""A Gaussian mixture whose denoiser, score, density, flow and linear-Gaussian posteriors are all exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Cap, Random
from bench.numerics.diffusion import rk4
from bench.priors._dtype import refuse_other_dtype
from bench.priors._mixture_score import (
    Pulls,
    Score,
    log_joint,
    precisions,
    pulls,
    refuse_derivative_in_sigma,
)

# rows of one score: with more of them, what is kept for the derivative does not fit into the cache
ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class GMM:
    """p(x) = sum_k w_k N(x; mu_k, C_k) over images of shape `*x`, D = their size.

    weights (K,), means (K, *x), covariances (K, D, D), in data units. Every tensor given to a method of this class has
    the mixture's dtype and device.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    sigma_max: float = 10.0  # where the probability-flow ODE starts
    num_ode_steps: int = 7

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

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`."""
        uniform = rng.rand((num_samples,))
        component = torch.searchsorted(self.weights.cumsum(0), uniform).clamp_max(
            len(self.weights) - 1
        )
        noise = rng.randn((num_samples, *self.shape)).flatten(2)
        x = self._flat_means[component] + torch.einsum(
            "msij,msj->msi", self._cholesky[component], noise
        )
        return x.unflatten(2, self.shape)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        refuse_other_dtype("denoise", x_t, self.means)
        sigma = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device)
        return x_t + sigma.square().view(-1, *[1] * len(self.shape)) * self.score(x_t, sigma)

    def score(self, x_t: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Return the gradient of log p(x_t; sigma), (n, *x); sigma = 0 gives the score of the prior itself."""
        refuse_other_dtype("score", x_t, self.means)
        refuse_derivative_in_sigma(sigma)
        sigma = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device)
        if sigma.dim():
            return self._score(x_t, sigma)
        known = precisions(sigma, *self._mixture)  # once for all rows
        return torch.cat([self._score(rows, sigma, *known) for rows in x_t.split(ROWS_AT_ONCE)])

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Return log p(x; sigma) in nats, (n,): the density of x + sigma eps, at sigma = 0 of the prior itself."""
        return self.log_joint(x, sigma).logsumexp(1)

    def log_joint(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Return log w_k N(x; mu_k, C_k + sigma^2 I) for every component, (n, K)."""
        return log_joint(self._pulls(x, sigma), self.weights, x[0].numel())

    def log_prob_and_score(self, x: Tensor, sigma: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Return log p(x; sigma) (n,) and its gradient (n, *x) from one evaluation."""
        a = self._pulls(x, sigma)
        joint = log_joint(a, self.weights, x[0].numel())
        return joint.logsumexp(1), -a.combined(joint.softmax(1)).view_as(x)

    def decode(self, z: Tensor) -> Tensor:
        """Follow the probability-flow ODE from z ~ N(0, I) at sigma_max down to sigma = 0: (n, *z) -> (n, *x).

        The ODE is integrated in t = log(1 + v / v_0), v = sigma^2, for the whitened state
        u = (C + v I)^(-1/2) (x - mu), with mu and C the mean and covariance of the whole mixture. For a single Gaussian
        u is constant, so that the steps resolve only the differences between components, and sigma_max can be small:
        u ~ N(0, I) there, up to the third cumulant. Equal steps in t resolve all scales from the pixels' own variance
        v_0 up to the whole image.
        """
        refuse_other_dtype("decode", z, self.means)
        v_0 = 0.01

        def velocity(u: Tensor, t: Tensor) -> Tensor:
            v = t.expm1() * v_0
            scale, known = self._at(v.item())
            score = Score.apply(
                u / scale, v.sqrt().to(u.device), self.weights, *self._in_axes, *known
            )[0]
            return -0.5 * (v + v_0) * scale * (score + scale * u)

        start = math.log1p(self.sigma_max**2 / v_0)
        # on the CPU, since `_at` reads each value
        steps = torch.linspace(start, 0, self.num_ode_steps + 1, dtype=z.dtype)
        u = rk4(velocity, z.flatten(1) @ self._axes, steps)
        return (self._mean + (u * self._variances.sqrt()) @ self._axes.T).view_as(z)

    def _score(self, x_t: Tensor, sigma: Tensor, *known: Tensor) -> Tensor:
        rows = x_t.flatten(1)
        return Score.apply(rows, sigma, self.weights, *self._mixture, *known)[0].view_as(x_t)

    def _pulls(self, x: Tensor, sigma: Tensor | float) -> Pulls:
        refuse_other_dtype("log_prob", x, self.means)
        known = () if torch.is_tensor(sigma) or sigma else self._without_noise
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        return pulls(x.flatten(1), sigma, *self._mixture, *known)

    @cached_property
    def _flat_means(self) -> Tensor:
        return self.means.flatten(1)

    @cached_property
    def _cholesky(self) -> Tensor:
        return torch.linalg.cholesky(self.covariances)

    @cached_property
    def _mixture(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return means (K, D), and eigenvalues (K, D) and eigenvectors (K, D, D) of the covariances."""
        return self._flat_means, *_eigen(self.covariances)

    @cached_property
    def _without_noise(self) -> tuple[Tensor, Tensor]:
        """Return `precisions` of the prior itself, which chains on its density need at each step."""
        return precisions(self.weights.new_zeros(()), *self._mixture)

    def _at(self, v: float) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return (C + v I)^(-1/2) and `precisions` for the decoder, kept since each call has the same noise levels."""
        if v not in self._levels:
            sigma = torch.tensor(v, dtype=self.means.dtype, device=self.means.device).sqrt()
            self._levels[v] = (self._variances + v).rsqrt(), precisions(sigma, *self._in_axes)
        return self._levels[v]

    @cached_property
    def _levels(self) -> dict[float, tuple[Tensor, tuple[Tensor, Tensor]]]:
        return {}

    @cached_property
    def _in_axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the components' means, eigenvalues and eigenvectors, around the mean and along the pooled axes."""
        means, spectrum, vectors = self._mixture
        return (means - self._mean) @ self._axes, spectrum, self._axes.T @ vectors

    @cached_property
    def _mean(self) -> Tensor:
        return self.weights @ self._flat_means

    @cached_property
    def _pooled_eigen(self) -> tuple[Tensor, Tensor]:
        centred = self._flat_means - self._mean
        second_moments = self.covariances + centred[:, :, None] * centred[:, None]
        return _eigen(torch.einsum("k,kij->ij", self.weights, second_moments))

    @property
    def _variances(self) -> Tensor:
        return self._pooled_eigen[0]

    @property
    def _axes(self) -> Tensor:
        return self._pooled_eigen[1]


def _eigen(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors, found in float64: a GPU finds them in float32 with errors of 1e-5."""
    values, vectors = torch.linalg.eigh(matrices.double())
    return values.to(matrices), vectors.to(matrices)
