"""The distribution of the ancestral chain on a Gaussian prior, level by level, with and without a measurement."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from helpers.gaussian_bed import GaussianBed, GaussianPrior, conditioned

Moments = tuple[Tensor, Tensor]  # mean (D,) and covariance (D, D)


def start_of(prior: GaussianPrior, sigma: Tensor) -> Moments:
    """The state at the first level is noise alone."""
    return torch.zeros_like(prior.mean), (1 + sigma.square()) * torch.eye(len(prior.mean)).double()


def followed(prior: GaussianPrior, law: Moments, sigmas: Tensor) -> Moments:
    """The law at the last of `sigmas` of a chain whose law at the first is known; sigmas fall, perhaps to zero."""
    mean, covariance = law
    eye = torch.eye(len(mean), dtype=torch.float64)
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        ratio = (sigma_next / sigma).square()
        shrink = torch.linalg.solve(prior.covariance + sigma.square() * eye, prior.covariance).mT
        pull = ratio * eye + (1 - ratio) * shrink
        mean = pull @ mean + (1 - ratio) * (prior.mean - shrink @ prior.mean)
        covariance = pull @ covariance @ pull.mT + sigma_next.square() * (1 - ratio) * eye
    return mean, covariance


def chain_law(prior: GaussianPrior, sigmas: Tensor) -> Moments:
    return followed(prior, start_of(prior, sigmas[0]), sigmas)


def residuals_of(bed: GaussianBed, mean: Tensor) -> Tensor:
    """y - A mean of each measurement, (m, P)."""
    images = mean.view(bed.prior.shape).expand(bed.m, *bed.prior.shape)
    return bed.problem.residual(images, bed.y).flatten(1)


def log_evidence(bed: GaussianBed, law: Moments) -> Tensor:
    """log E[exp(log_likelihood)] under a Gaussian law of x, (m,)."""
    mean, covariance = law
    eye = torch.eye(bed.matrices.shape[1], dtype=torch.float64)
    total = bed.matrices @ covariance @ bed.matrices.mT + bed.sigma_y**2 * eye
    residual = residuals_of(bed, mean)[..., None]
    misfit = (residual.mT @ torch.linalg.solve(total, residual))[:, 0, 0]
    return -0.5 * (misfit + torch.logdet(total / bed.sigma_y**2))


def posterior_of_law(bed: GaussianBed, law: Moments, noise: float | None = None) -> Moments:
    """Mean (m, D) and covariance (m, D, D) of x given y; noise: another standard deviation of that of y."""
    mean, covariance = law
    sigma_y = bed.sigma_y if noise is None else noise
    eye = torch.eye(bed.matrices.shape[1], dtype=torch.float64)
    many = mean.expand(bed.m, -1), covariance.expand(bed.m, -1, -1)
    return conditioned(*many, bed.matrices, residuals_of(bed, mean), sigma_y**2 * eye)


def log_density_at_y(bed: GaussianBed, law: Moments, variance: float) -> Tensor:
    """log density of y in A x + noise of that variance, for A with orthogonal rows, over log_likelihood's constant."""
    mean, covariance = law
    eye = torch.eye(bed.matrices.shape[1], dtype=torch.float64)
    total = bed.matrices @ covariance @ bed.matrices.mT + variance * eye
    residual = residuals_of(bed, mean)[..., None]
    misfit = (residual.mT @ torch.linalg.solve(total, residual))[:, 0, 0]
    return -0.5 * (misfit + torch.logdet(total / bed.sigma_y**2))


def assert_unbiased(log_estimates: Tensor, log_truth: Tensor) -> None:
    """Estimates exp(log_estimates) (r,) have the mean exp(log_truth) (), to three standard errors."""
    ratio = (log_estimates - log_truth).exp()
    error = ratio.std() / math.sqrt(len(ratio))
    assert error < 0.1, f"{error:.3f}: too few runs to say"
    assert abs(ratio.mean() - 1) < 3 * error, f"{ratio.mean():.3f} +- {error:.3f}"
