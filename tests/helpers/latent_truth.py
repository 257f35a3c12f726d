"""Helpers of the tests of latent samplers: measurements on the toy, draws, and moments over independent chains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.runtime.metering import Meter, counted


def measurements(prior, problem, m: int) -> Tensor:
    rng = Rng(("test", "y"), range(m))
    return problem.simulate(prior.sample(1, rng)[:, 0], rng)


def draw(method, prior, problem, y: Tensor, num_samples: int, what: str = "latent") -> Tensor:
    rng = Rng(("test", what), range(len(y)), range(num_samples))
    return method.sample(prior, problem, y, num_samples, rng=rng)


def assert_moments(
    x: Tensor, num_chains: int, mean: Tensor, covariance: Tensor, power: float = 0.05
) -> None:
    """Samples (s, D), state-major, against a mean and a covariance, in standard errors told by the spread of chains.

    Chains are independent, so that their means and mean products scatter as independent draws do: beyond 5 standard
    errors with 64 chains once in 2e5 values, and there are 152. That error is at most `power` of each variance.
    """
    chains = (x - mean).unflatten(0, (-1, num_chains)).transpose(0, 1)  # (C, T, D)
    products = torch.einsum("cti,ctj->cij", chains, chains) / chains.shape[1]
    for found, expected in ((chains.mean(1), torch.zeros_like(mean)), (products, covariance)):
        error = found.std(0) / num_chains**0.5
        assert ((found.mean(0) - expected).abs() < 5 * error).all()
    assert (
        products.diagonal(dim1=1, dim2=2).std(0) / num_chains**0.5 < power * covariance.diag()
    ).all()


def assert_finite_at_the_stated_cost(method) -> Meter:
    """Check that samples on the toy are finite and cost what `nfe` states; return the meter."""
    prior, m, s = ToyPrior(), 2, 7
    problem, (watched, meter) = ToyProblem(prior), counted(prior)
    x = draw(method, watched, problem, measurements(prior, problem, m), s)
    assert x.shape == (m, s, *prior.shape) and x.isfinite().all()
    stated = method.nfe(prior, s)
    assert not stated.at_most
    assert (meter.nfe(m * s), meter.nfe_vjp(m * s)) == pytest.approx(stated[:2], rel=1e-12, abs=0)
    return meter
