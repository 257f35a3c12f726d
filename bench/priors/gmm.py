"""`gmm`: a Gaussian mixture whose denoiser, score, density, flow and linear-Gaussian posteriors are all exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from bench.formulas.diffusion import rk4
from bench.types import Cap, Random


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
    num_ode_steps: int = 8

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    sigma_range: ClassVar[tuple[float, float]] = (0.002, 200.0)  # worth asking for; exact beyond, too

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
        """Prior draws, `(m, num_samples, *x)`."""
        uniform = rng.rand((num_samples,))
        component = torch.searchsorted(self.weights.cumsum(0), uniform).clamp_max(len(self.weights) - 1)
        noise = rng.randn((num_samples, *self.shape)).flatten(2)
        x = self._flat_means[component] + torch.einsum("msij,msj->msi", self._cholesky[component], noise)
        return x.unflatten(2, self.shape)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        sigma = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device)
        return x_t + sigma.square().view(-1, *[1] * len(self.shape)) * self.score(x_t, sigma)

    def score(self, x_t: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Gradient of log p(x_t; sigma), (n, *x); sigma = 0 gives the score of the prior itself."""
        return self.log_prob_and_score(x_t, sigma)[1]

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """log p(x; sigma) in nats, (n,): the density of x + sigma eps, at sigma = 0 of the prior itself."""
        return self.log_joint(x, sigma).logsumexp(1)

    def log_joint(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """log w_k N(x; mu_k, C_k + sigma^2 I) for every component, (n, K)."""
        return self._components(x.flatten(1), sigma)[0]

    def log_prob_and_score(self, x: Tensor, sigma: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Both from one evaluation: (n,) and (n, *x)."""
        log_joint, pull, shift = self._components(x.flatten(1), sigma)
        responsibility = log_joint.softmax(1)
        mean_pull = torch.bmm(responsibility[:, None], pull)[:, 0] - responsibility @ shift
        return log_joint.logsumexp(1), -mean_pull.view_as(x)

    def decode(self, z: Tensor) -> Tensor:
        """The probability-flow ODE from z ~ N(0, I) at sigma_max down to sigma = 0: (n, *z) -> (n, *x).

        Integrated in v = sigma^2 for the whitened state u = (C + v I)^(-1/2) (x - mu), with mu and C the mean and
        covariance of the whole mixture. On a single Gaussian u stands still, so the steps are spent on what makes the
        mixture a mixture, and sigma_max can be small: there u ~ N(0, I) up to the third cumulant.
        """

        def velocity(u: Tensor, v: Tensor) -> Tensor:
            scale = (self._variances + v).rsqrt()
            score = self.score((self._mean + (u / scale) @ self._axes.T).view_as(z), v.sqrt()).flatten(1)
            return -0.5 * (scale * (score @ self._axes) + scale.square() * u)

        # equal steps in log(v + v_0) resolve all scales from the pixels' own variance v_0 up to the whole image
        v_0 = 0.005
        steps = torch.linspace(math.log1p(self.sigma_max**2 / v_0), 0, self.num_ode_steps + 1, dtype=z.dtype)
        u = rk4(velocity, z.flatten(1) @ self._axes, (steps.expm1() * v_0).to(z.device))
        return (self._mean + (u * self._variances.sqrt()) @ self._axes.T).view_as(z)

    def _components(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k N(x; mu_k, S_k), (n, K), S_k = C_k + sigma^2 I, and pull (n, K, D), shift (K, D).

        S_k^-1 (x - mu_k) = pull - shift.
        """
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        spectrum = self._spectrum + sigma.square().view(-1, 1, 1)  # (1 or n, K, D)
        if sigma.dim() == 0:  # one noise level: one matrix product for all rows and components
            precision = (self._vectors / spectrum[0, :, None]) @ self._vectors.mT
            shift = (precision @ self._flat_means[:, :, None])[:, :, 0]
            pull = (x @ precision.flatten(0, 1).T).unflatten(1, shift.shape)
            mahalanobis = torch.bmm(pull, x[:, :, None])[:, :, 0] - 2 * x @ shift.T + (self._flat_means * shift).sum(1)
        else:
            white = torch.einsum("nkd,kde->nke", x[:, None] - self._flat_means, self._vectors)
            pull = torch.einsum("nke,kde->nkd", white / spectrum, self._vectors)
            shift = torch.zeros_like(self._flat_means)
            mahalanobis = (white.square() / spectrum).sum(2)
        log_normal = -0.5 * (mahalanobis + spectrum.log().sum(2) + x.shape[1] * math.log(2 * math.pi))
        return self.weights.log() + log_normal, pull, shift

    @cached_property
    def _flat_means(self) -> Tensor:
        return self.means.flatten(1)

    @cached_property
    def _cholesky(self) -> Tensor:
        return torch.linalg.cholesky(self.covariances)

    @cached_property
    def _eigen(self) -> tuple[Tensor, Tensor]:
        return torch.linalg.eigh(self.covariances)

    @property
    def _spectrum(self) -> Tensor:
        return self._eigen[0]

    @property
    def _vectors(self) -> Tensor:
        return self._eigen[1]

    @cached_property
    def _mean(self) -> Tensor:
        return self.weights @ self._flat_means

    @cached_property
    def _pooled_eigen(self) -> tuple[Tensor, Tensor]:
        centred = self._flat_means - self._mean
        second_moments = self.covariances + centred[:, :, None] * centred[:, None]
        return torch.linalg.eigh(torch.einsum("k,kij->ij", self.weights, second_moments))

    @property
    def _variances(self) -> Tensor:
        return self._pooled_eigen[0]

    @property
    def _axes(self) -> Tensor:
        return self._pooled_eigen[1]
