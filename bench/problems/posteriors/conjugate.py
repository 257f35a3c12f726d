"""The exact posterior of a Gaussian mixture under a linear operator, by conjugacy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Mixture, Problem, Random
from bench.problems.posteriors.posterior import perplexity_of, streams_of

MOST_NUMBERS = 2**25  # in the factors that are copied for one call of the solver


@dataclass(frozen=True, eq=False)
class Conjugate:
    """Gaussian mixture prior, linear operator, Gaussian noise: the posterior is a Gaussian mixture again."""

    prior: Mixture
    problem: Problem

    kind: ClassVar[str] = "closed form"
    perplexity_of: ClassVar[str | None] = "components"
    offered: ClassVar[bool] = True

    def mixture(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights (m, K), means (m, K, D) and precision matrices (m, K, D, D) of p(x | y)."""
        log_weights, means, precision = self._components(y)
        return log_weights.softmax(1), means, precision

    def log_z(self, y: Tensor) -> Tensor:
        num_values = math.prod(self.problem.operator.measured_shape(self.prior.shape))
        constant = num_values * math.log(self.problem.sigma_y)
        return self._components(y)[0].logsumexp(1) + constant

    def _components(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log weights times evidence, up to a constant, (m, K), means and precision matrices."""
        prior, variance = self.prior, self.problem.sigma_y**2
        means, covariances = prior.means, prior.covariances
        operator = self._matrix(y)  # (m, P, D)
        rows = y.repeat_interleave(len(means), 0)
        columns = means.repeat(len(y), *[1] * (means.dim() - 1))
        residual = (
            self.problem.residual(columns, rows).flatten(1).unflatten(0, (len(y), len(means)))
        )
        gram = operator[:, None] @ covariances @ operator[:, None].mT
        noise = variance * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        evidence = torch.linalg.cholesky(gram + noise)
        white = torch.linalg.solve_triangular(evidence, residual[..., None], upper=False)[..., 0]
        log_evidence = -white.square().sum(-1) / 2 - evidence.diagonal(dim1=-2, dim2=-1).log().sum(
            -1
        )
        precision = torch.linalg.inv(covariances) + (operator.mT @ operator)[:, None] / variance
        pull = (residual @ operator / variance)[..., None]  # A^T (y - A mu) / sigma_y^2
        update = torch.cholesky_solve(pull, torch.linalg.cholesky(precision))[..., 0]
        return prior.weights.log() + log_evidence, means.flatten(1) + update, precision

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        weights, means, precision = self.mixture(y)
        streams = streams_of(rng, num_samples)
        pick = torch.searchsorted(weights.cumsum(1), streams.rand(())).clamp_max(
            weights.shape[1] - 1
        )
        noise = streams.randn((means.shape[2],))
        measurement = torch.arange(len(y), device=y.device)[:, None]
        factors = torch.linalg.cholesky(precision)
        # the solver needs a copy of its factor for each sample, so large draws are made in parts
        at_once = max(1, MOST_NUMBERS // (len(y) * means.shape[2] ** 2))
        spread = torch.cat(
            [
                torch.linalg.solve_triangular(
                    factors[measurement, some].mT, part[..., None], upper=True
                )[..., 0]
                for some, part in zip(pick.split(at_once, 1), noise.split(at_once, 1), strict=True)
            ],
            1,
        )
        return (means[measurement, pick] + spread).unflatten(2, self.prior.shape)

    def moments(self, y: Tensor) -> tuple[Tensor, Tensor]:
        weights, means, precision = self.mixture(y)
        variances = torch.linalg.inv(precision).diagonal(dim1=-2, dim2=-1)
        mean = torch.einsum("mk,mkd->md", weights, means)
        variance = torch.einsum("mk,mkd->md", weights, variances + (means - mean[:, None]).square())
        return mean.unflatten(1, self.prior.shape), variance.sqrt().unflatten(1, self.prior.shape)

    def perplexity(self, y: Tensor) -> Tensor:
        return perplexity_of(self.mixture(y)[0])

    def _matrix(self, y: Tensor) -> Tensor:
        size = math.prod(self.prior.shape)
        basis = torch.eye(size, dtype=y.dtype, device=y.device).unflatten(1, self.prior.shape)
        columns = self.problem.operator(
            basis.repeat(len(y), *[1] * (basis.dim() - 1)), y.repeat_interleave(size, 0)
        )
        return columns.flatten(1).unflatten(0, (len(y), size)).mT
