"""The affine map that guides a sampler: of the prior's draws, or refitted where the posterior of one measurement is."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.core.types import Cap, Prior, Problem, Random

from . import surrogate, wavelets
from .outsourced import decode_flat, flat_likelihood
from .surrogate import Affine
from .wavelets import WaveletMap

if TYPE_CHECKING:
    from . import ODS

NUM_HESSIANS = 16  # of simulated measurements, averaged
NUM_PROBED = 4  # the same in wavelets
ADAPT_FROM = 0.1  # power of the likelihood at the map's first refit


def is_guided(method: ODS, problem: Problem) -> bool:
    """Return whether the sampler starts from the likelihood's gradient and curvature."""
    return method.drift == "langevin" and Cap.GRAD in problem.caps


def map_of_prior(
    method: ODS, prior: Prior, problem: Problem, z: Tensor, x: Tensor, y: Tensor, rng: Random
) -> Affine | WaveletMap:
    """Return the map fitted to draws z (n, d), x (n, *x) of the prior, with the curvature at measurements y (n, *y)."""
    log_likelihood = flat_likelihood(prior, problem)
    if method.is_convolutional(prior):
        if not is_guided(method, problem):
            return wavelets.no_wavelets(z, prior.latent_shape)
        fitted = wavelets.fit_wavelets(z, x.flatten(1), prior.shape)
        # with guide "decoder", gradients are the decoder's and have no error of the map
        if method.guide == "decoder":
            fitted = fitted._replace(missed=torch.zeros_like(fitted.missed))
        at = x[:NUM_PROBED].flatten(1), y[:NUM_PROBED]
        sign = signs(z, rng)
        hessian = wavelets.curvature_in_wavelets(log_likelihood, *at, fitted.frame, sign)
        turned = wavelets.with_curvature(fitted, hessian)
        return wavelets.damped(turned, log_likelihood, *at, sign)
    if not is_guided(method, problem):
        return surrogate.no_map(z)
    some = slice(0, NUM_HESSIANS)
    shift, matrix = surrogate.fit_affine(z, x.flatten(1))
    return surrogate.in_principal_axes(log_likelihood, x[some].flatten(1), y[some], shift, matrix)


def map_of_posterior(
    method: ODS, prior: Prior, problem: Problem, z: Tensor, x: Tensor, y: Tensor, rng: Random
) -> tuple[Affine | WaveletMap, Tensor, Tensor]:
    """Return the map refitted to one measurement y (1, *y), and flat draws z (n, d), x (n, D) near its posterior.

    z (n, d), x (n, *x): draws of the prior, which are returned where there is no map.
    """
    x, convolutional = x.flatten(1), method.is_convolutional(prior)
    if not is_guided(method, problem):
        unguided = (
            wavelets.no_wavelets(z, prior.latent_shape) if convolutional else surrogate.no_map(z)
        )
        return unguided, z, x
    betas = (
        torch.linspace(math.log(ADAPT_FROM), -math.log(ADAPT_FROM), method.num_adapt)
        .clamp_max(0)
        .exp()
        .to(z)
    )
    xi = rng.randn((method.num_adapt, method.num_adapt_draws, z.shape[1]))[0]
    to_x, log_likelihood = partial(decode_flat, prior), flat_likelihood(prior, problem)
    if convolutional:
        fitted = wavelets.fit_wavelets(z, x, prior.shape)
        return wavelets.adapted_wavelets(to_x, log_likelihood, fitted, y, betas, xi, signs(z, rng))
    shift, matrix = surrogate.fit_affine(z, x)
    return surrogate.adapted_fit(to_x, log_likelihood, shift, matrix, y, betas, xi)


def signs(z: Tensor, rng: Random) -> Tensor:
    """Draw random signs (d,), for z (n, d), from an rng of one stream."""
    return rng.rand((z.shape[1],))[0].sub(0.5).sign().to(z)
