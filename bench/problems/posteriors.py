"""Exact posteriors: by conjugacy, by enumeration, and where neither exists a reference by tempered SMC in x or in z."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from bench.core.types import Cap, PerSample, Prior, Problem, Random
from bench.numerics import mcmc, smc
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems.reward import opened
from bench.problems.smc_latent import LatentSMC, Unknown

MAX_DECODE_NFE = 16  # rows through the network per decoded row; a reference decodes 2e5 rows or more per measurement


class Posterior(Protocol):
    """p(x | y) that can be sampled exactly (or by a checked reference): y (m, *y)."""

    kind: ClassVar[str]
    perplexity_of: ClassVar[str | None]
    offered: ClassVar[bool]  # to methods, as Cap.EXACT

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor: ...  # (m, s, *x)
    def moments(self, y: Tensor) -> tuple[Tensor, Tensor] | None: ...  # mean and std (m, *x), where there is a formula
    def perplexity(self, y: Tensor) -> Tensor | None: ...  # (m,) effective number of components or atoms


@runtime_checkable
class Distilled(Protocol):
    """A prior that was made from another one."""

    teacher: Prior | None


def exact_posterior(prior: Prior, problem: Problem) -> Posterior:
    """The posterior of `problem`, by the best means there are under this prior."""
    problem = opened(problem)
    if isinstance(prior, Atoms):
        return Enumeration(prior, problem)
    if isinstance(prior, GMM):
        return Conjugate(prior, problem) if Cap.LINEAR in problem.caps else TemperedSMC(prior, problem)
    if Cap.DECODER not in prior.caps:
        return Unknown(prior, "this prior has no decoder")
    if prior.decode_nfe > MAX_DECODE_NFE:
        calls = f"{prior.decode_nfe} network calls per decoded row, {MAX_DECODE_NFE} at most are affordable"
        return Unknown(prior, calls)
    return LatentSMC(prior, problem)


def teacher_posterior(prior: Prior, problem: Problem) -> Posterior | None:
    """The posterior under the prior that this one was distilled from, where that one is embedded."""
    teacher = prior.teacher if isinstance(prior, Distilled) else None
    return exact_posterior(teacher, problem) if isinstance(teacher, (GMM, Atoms)) else None


@dataclass(frozen=True, eq=False)
class Conjugate:
    """Gaussian mixture prior, linear operator, Gaussian noise: the posterior is a Gaussian mixture again."""

    prior: GMM
    problem: Problem

    kind: ClassVar[str] = "closed form"
    perplexity_of: ClassVar[str] = "components"
    offered: ClassVar[bool] = True

    def mixture(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (m, K), means (m, K, D) and precision matrices (m, K, D, D) of p(x | y)."""
        prior, variance = self.prior, self.problem.sigma_y**2
        means, covariances = prior.means, prior.covariances
        operator = self._matrix(y)  # (m, P, D)
        rows, columns = y.repeat_interleave(len(means), 0), means.repeat(len(y), *[1] * (means.dim() - 1))
        residual = self.problem.residual(columns, rows).flatten(1).unflatten(0, (len(y), len(means)))
        gram = operator[:, None] @ covariances @ operator[:, None].mT
        noise = variance * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        evidence = torch.linalg.cholesky(gram + noise)
        white = torch.linalg.solve_triangular(evidence, residual[..., None], upper=False)[..., 0]
        log_evidence = -white.square().sum(-1) / 2 - evidence.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        precision = torch.linalg.inv(covariances) + (operator.mT @ operator)[:, None] / variance
        pull = (residual @ operator / variance)[..., None]  # A^T (y - A mu) / sigma_y^2
        update = torch.cholesky_solve(pull, torch.linalg.cholesky(precision))[..., 0]
        return (prior.weights.log() + log_evidence).softmax(1), means.flatten(1) + update, precision

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        weights, means, precision = self.mixture(y)
        streams = _streams_of(rng, num_samples)
        pick = torch.searchsorted(weights.cumsum(1), streams.rand(())).clamp_max(weights.shape[1] - 1)
        noise = streams.randn((means.shape[2],))
        measurement = torch.arange(len(y), device=y.device)[:, None]
        factor = torch.linalg.cholesky(precision)[measurement, pick]
        spread = torch.linalg.solve_triangular(factor.mT, noise[..., None], upper=True)[..., 0]
        return (means[measurement, pick] + spread).unflatten(2, self.prior.shape)

    def moments(self, y: Tensor) -> tuple[Tensor, Tensor]:
        weights, means, precision = self.mixture(y)
        variances = torch.linalg.inv(precision).diagonal(dim1=-2, dim2=-1)
        mean = torch.einsum("mk,mkd->md", weights, means)
        variance = torch.einsum("mk,mkd->md", weights, variances + (means - mean[:, None]).square())
        return mean.unflatten(1, self.prior.shape), variance.sqrt().unflatten(1, self.prior.shape)

    def perplexity(self, y: Tensor) -> Tensor:
        return _perplexity(self.mixture(y)[0])

    def _matrix(self, y: Tensor) -> Tensor:
        size = math.prod(self.prior.shape)
        basis = torch.eye(size, dtype=y.dtype, device=y.device).unflatten(1, self.prior.shape)
        columns = self.problem.operator(basis.repeat(len(y), *[1] * (basis.dim() - 1)), y.repeat_interleave(size, 0))
        return columns.flatten(1).unflatten(0, (len(y), size)).mT


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Atoms prior: posterior weights of all atoms for any likelihood, no approximation."""

    prior: Atoms
    problem: Problem

    kind: ClassVar[str] = "enumeration"
    perplexity_of: ClassVar[str] = "atoms"
    offered: ClassVar[bool] = True

    def weights(self, y: Tensor) -> Tensor:
        """p(a_i | y), (m, N)."""
        atoms = self.prior.atoms
        rows = (row.expand(len(atoms), *row.shape) for row in y)
        return torch.stack([self.problem.log_likelihood(atoms, row) for row in rows]).softmax(1)

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        weights, uniform = self.weights(y), _streams_of(rng, num_samples).rand(())
        pick = torch.searchsorted(weights.cumsum(1), uniform).clamp_max(weights.shape[1] - 1)
        return self.prior.atoms[pick]

    def moments(self, y: Tensor) -> tuple[Tensor, Tensor]:
        weights, atoms = self.weights(y), self.prior.atoms.flatten(1)
        mean = weights @ atoms
        variance = torch.stack([w @ (atoms - centre).square() for w, centre in zip(weights, mean, strict=True)])
        return mean.unflatten(1, self.prior.shape), variance.sqrt().unflatten(1, self.prior.shape)

    def perplexity(self, y: Tensor) -> Tensor:
        return _perplexity(self.weights(y))


@dataclass(frozen=True, eq=False)
class TemperedSMC:
    """Gaussian mixture prior, any operator: particles carried from prior to posterior through tempered likelihoods.

    Each temperature keeps `ess_share` of the particles effective, then resamples and moves them by MALA in coordinates
    whitened by their own covariance. Del Moral, Doucet & Jasra 2006, https://doi.org/10.1111/j.1467-9868.2006.00553.x
    A reference only where two independent runs agree (`bench.stages.reference`).
    """

    prior: GMM
    problem: Problem
    num_particles: int = 1024  # at least; never fewer than twice the draws
    num_moves: int = 6
    num_final_moves: int = 20
    ess_share: float = 0.6

    kind: ClassVar[str] = "tempered SMC"
    perplexity_of: ClassVar[str] = "components"
    offered: ClassVar[bool] = True

    def size(self, num_samples: int) -> int:
        """Number of particles when that many draws are asked for."""
        return max(self.num_particles, 2 * num_samples)

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        # one measurement after the other: each has its own number of temperatures, and none may see another's
        return torch.cat([self._run(y[i : i + 1], num_samples, rng.only(i)) for i in range(len(y))])

    def _run(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        n = self.size(num_samples)
        particles = self.prior.sample(n, rng).flatten(2)  # (m, n, D)
        beta = torch.zeros(len(y), dtype=y.dtype, device=y.device)
        step = torch.full_like(beta, 0.1)
        while (beta < 1).any():
            log_likelihood = self._log_likelihood(particles, y)
            beta, previous = smc.next_temperature(log_likelihood, beta, self.ess_share), beta
            weights = ((beta - previous)[:, None] * log_likelihood).softmax(1)
            index = smc.systematic_resample(weights, rng.rand(()))
            particles = particles.gather(1, index[..., None].expand_as(particles))
            particles, step = self._move(particles, y, beta, step, self.num_moves, rng)
        particles, _ = self._move(particles, y, beta, step, self.num_final_moves, rng)
        order = rng.rand((n,)).argsort(1)[:, :num_samples]
        return particles.gather(1, order[..., None].expand(-1, -1, particles.shape[2])).unflatten(2, self.prior.shape)

    def moments(self, y: Tensor) -> None:
        return None

    def perplexity(self, y: Tensor) -> None:
        return None

    def _move(
        self, particles: Tensor, y: Tensor, beta: Tensor, step: Tensor, num_moves: int, rng: Random
    ) -> tuple[Tensor, Tensor]:
        """Particles (m, n, D) after MALA at temperature beta (m,), and the adapted steps (m,)."""
        m, n, dim = particles.shape
        centre = particles.mean(1, keepdim=True)
        covariance = (particles - centre).mT @ (particles - centre) / n
        jitter = 1e-9 * torch.eye(dim, dtype=y.dtype, device=y.device)
        root = torch.linalg.cholesky(covariance + jitter * covariance.diagonal(dim1=1, dim2=2).sum(1)[:, None, None])
        white = torch.linalg.solve_triangular(root, (particles - centre).mT, upper=False).mT

        def target(position: Tensor) -> tuple[Tensor, Tensor]:
            x = centre + position.unflatten(0, (m, n)) @ root.mT
            rows, temperature = y.repeat_interleave(n, 0), beta.repeat_interleave(n)
            log_density, gradient = self._tempered(x.flatten(0, 1), rows, temperature)
            return log_density, (gradient.unflatten(0, (m, n)) @ root).flatten(0, 1)

        state = mcmc.start(white.flatten(0, 1), target)
        for _ in range(num_moves):
            per_row = step.repeat_interleave(n)[:, None]
            noise, uniform = rng.randn((n, dim)).flatten(0, 1), rng.rand((n,)).flatten()
            state, acceptance = mcmc.mala_step(state, target, per_row, noise, uniform)
            step = mcmc.adapted_step(step, acceptance.unflatten(0, (m, n)).mean(1), rate=1.0)
        return centre + state.position.unflatten(0, (m, n)) @ root.mT, step

    def _tempered(self, x: Tensor, y: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        images = x.unflatten(1, self.prior.shape)
        log_prior, score = self.prior.log_prob_and_score(images)
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            log_likelihood = self.problem.log_likelihood(leaf, y)
            (gradient,) = torch.autograd.grad(log_likelihood.sum(), leaf)
        return log_prior + beta * log_likelihood.detach(), (score.flatten(1) + beta[:, None] * gradient.flatten(1))

    def _log_likelihood(self, particles: Tensor, y: Tensor) -> Tensor:
        rows = particles.flatten(0, 1).unflatten(1, self.prior.shape)
        repeated = y.repeat_interleave(particles.shape[1], 0)
        return self.problem.log_likelihood(rows, repeated).unflatten(0, particles.shape[:2])


def _streams_of(rng: Random, num_samples: int) -> PerSample:
    """Return the streams of the posterior samples; ValueError when they are not as many as are asked for."""
    if len(rng.per_sample) != num_samples:
        raise ValueError(
            f"sample_posterior: num_samples = {num_samples}, but rng has the streams of {len(rng.per_sample)} posterior "
            f"samples; make it as Rng(axes, ids, samples=range({num_samples}))"
        )
    return rng.per_sample


def _perplexity(weights: Tensor) -> Tensor:
    """exp of the entropy of each row of weights (m, K): between 1 and K."""
    return torch.special.entr(weights).sum(1).exp()
