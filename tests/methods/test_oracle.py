"""The two ends of every table: `oracle` draws from the exact posterior, `unconditional` from the prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import posterior_of
from bench.runtime.metering import counted, counted_problem
from methods.oracle import Oracle
from methods.unconditional import Unconditional

SHAPE, D, SIGMA_Y, M = (1, 4, 4), 16, 0.5, 2


def mixture() -> GMM:
    rng = Rng(("test", "mixture"), range(3))
    factor = rng.randn((D, D)) / D**0.5
    covariances = 0.2 * factor @ factor.mT + 0.02 * torch.eye(D, dtype=torch.float64)
    return GMM(
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 0.3 * rng.randn(SHAPE), covariances
    )


def atoms() -> Atoms:
    return Atoms(0.5 * Rng(("test", "atoms"), [0]).randn((20, *SHAPE))[0])


def setting(prior, operator: str, parameters: dict):
    """Return a problem with its exact posterior, and measurements of draws from the prior."""
    plain = make_problem(operator, parameters, SIGMA_Y, SHAPE)
    problem = make_problem(operator, parameters, SIGMA_Y, SHAPE, posterior_of(prior, plain))
    rng = Rng(("test", "y"), range(M))
    return problem, problem.simulate(prior.sample(1, rng)[:, 0], rng)


def streams(num_samples: int) -> Rng:
    return Rng(("test", "draws"), range(M), range(num_samples))


def assert_moments(x: Tensor, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Draws (s, D) against a mean and a covariance.

    A product of two pixels scatters by its own standard deviation over the root of s. 152 values: one is beyond 4.5
    standard errors once in 1000 tests.
    """
    centred = x.numpy() - mean
    products = centred[:, :, None] * centred[:, None]
    for values, expected in ((centred, np.zeros_like(mean)), (products, covariance)):
        error = values.std(0) / len(values) ** 0.5
        assert (np.abs(values.mean(0) - expected) < 4.5 * error).all()


def posterior_moments(
    prior: GMM, matrix: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of x given y = A x + noise: each component conditioned as a joint Gaussian of (x, y)."""
    log_weights, means, covariances = [], [], []
    parts = prior.weights.numpy(), prior.means.flatten(1).numpy(), prior.covariances.numpy()
    for weight, mu, c in zip(*parts, strict=True):
        s = matrix @ c @ matrix.T + SIGMA_Y**2 * np.eye(len(y))
        gain, innovation = c @ matrix.T @ np.linalg.inv(s), y - matrix @ mu
        evidence = -0.5 * (innovation @ np.linalg.solve(s, innovation) + np.linalg.slogdet(s)[1])
        log_weights.append(np.log(weight) + evidence)
        means.append(mu + gain @ innovation)
        covariances.append(c - gain @ matrix @ c)
    weights = np.exp(np.array(log_weights) - np.logaddexp.reduce(log_weights))
    mean = weights @ np.array(means)
    offsets = np.array(means) - mean
    return mean, np.einsum("k,kij->ij", weights, covariances) + (weights * offsets.T) @ offsets


def test_oracle_on_a_mixture_has_the_closed_form_moments():
    prior = mixture()
    problem, y = setting(prior, "inpaint-box", {"box": 2})
    x = Oracle().sample(prior, problem, y, 3000, rng=streams(3000)).flatten(2)
    values, mask = (part.flatten(1).numpy() for part in problem.unpack(y))
    for i in range(M):
        seen = mask[i] > 0
        assert_moments(x[i], *posterior_moments(prior, np.eye(D)[seen], values[i, seen]))


def test_oracle_on_atoms_draws_each_as_often_as_bayes_says():
    prior, num_samples = atoms(), 3000
    problem, y = setting(prior, "saturate", {"gain": 2.0})
    x = Oracle().sample(prior, problem, y, num_samples, rng=streams(num_samples))
    for i in range(M):
        clean = (2 * prior.atoms.numpy()).clip(-1, 1)
        log_weights = -0.5 * np.square((y[i].numpy() - clean) / SIGMA_Y).sum((1, 2, 3))
        weights = np.exp(log_weights - np.logaddexp.reduce(log_weights))
        same = (x[i][:, None] == prior.atoms).flatten(2).all(2)
        assert (same.sum(1) == 1).all()  # every draw is one of the atoms, to the bit
        # binomial counts, at most 20 of them that are not nearly 0: 5 standard errors and a count for the rare ones
        error = 5 * np.sqrt(num_samples * weights * (1 - weights)) + 1
        assert (np.abs(same.sum(0).numpy() - num_samples * weights) < error).all()


@pytest.mark.parametrize(
    ("make_prior", "operator", "parameters"),
    [(mixture, "average-pool", {"factor": 2}), (atoms, "phase", {"oversample": 2.0})],
)
def test_oracle_is_the_posterior_itself_and_costs_no_network_call(make_prior, operator, parameters):
    prior = make_prior()
    problem, y = setting(prior, operator, parameters)
    (seen_prior, network), (seen_problem, _) = counted(prior), counted_problem(problem)
    x = Oracle().sample(seen_prior, seen_problem, y, 5, rng=streams(5))
    assert torch.equal(x, posterior_of(prior, problem).sample(y, 5, streams(5)))
    assert network.forward == network.backward == 0


def test_oracle_needs_an_exact_posterior():
    assert (
        Oracle.needs == Cap.EXACT
        and Cap.EXACT not in make_problem("denoise", {}, SIGMA_Y, SHAPE).caps
    )
    assert Cap.EXACT in setting(mixture(), "denoise", {})[0].caps


def test_unconditional_on_a_mixture_has_the_priors_moments():
    prior = mixture()
    problem, y = setting(prior, "denoise", {})
    x = Unconditional().sample(prior, problem, y, 3000, rng=streams(3000)).flatten(2)
    weights, means = prior.weights.numpy(), prior.means.flatten(1).numpy()
    mean = weights @ means
    covariance = np.einsum("k,kij->ij", weights, prior.covariances.numpy())
    covariance = covariance + (weights * (means - mean).T) @ (means - mean)
    for of_one in x:
        assert_moments(of_one, mean, covariance)


@pytest.mark.parametrize("make_prior", [mixture, atoms])
def test_unconditional_draws_from_the_prior_for_any_measurement(make_prior):
    prior = make_prior()
    problem, y = setting(prior, "denoise", {})
    x = Unconditional().sample(counted(prior)[0], problem, y, 5, rng=streams(5))
    assert torch.equal(x, prior.sample(1, streams(5).per_sample.flat).view(x.shape))
    assert torch.equal(
        x, Unconditional().sample(prior, problem, torch.full_like(y, torch.nan), 5, rng=streams(5))
    )
    assert not torch.equal(x[0], x[1])
