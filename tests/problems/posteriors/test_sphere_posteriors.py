"""Posteriors of the climate on a sphere against formulas that were written anew, with dense matrices of numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from bench.core.packed import mask_of
from bench.core.registry import build
from bench.core.rng import Rng
from bench.numerics.climate import covariances, means
from bench.numerics.icosphere import icosphere
from bench.problems.inverse_problem import InverseProblem
from bench.problems.posteriors import Conjugate, posterior_of

V, M = 162, 3
OPERATORS = {
    "stations": ({"count": 12, "on_land": True}, 0.05),
    "hemisphere": ({}, 0.05),
    "sphere_blur": ({"std": 20.0}, 0.02),
}


@pytest.fixture(scope="module")
def prior():
    tensors = {
        "weights": torch.full((4,), 0.25, dtype=torch.float64),
        "means": torch.from_numpy(means(V))[:, None, :, None],
        "covariances": torch.from_numpy(covariances(V)),
    }
    return build("prior", "climate", {}).load(tensors, Path(), None)


def blur_matrix(std):
    vertices = icosphere(V).vertices
    matrix = np.empty((V, V))
    for i in range(V):
        angles = np.degrees(np.arccos(np.clip(vertices @ vertices[i], -1, 1)))
        weights = icosphere(V).areas * np.exp(-(angles**2) / (2 * std**2))
        matrix[i] = weights / weights.sum()
    return matrix


def dense_moments(rows, values, sigma_y):
    """Mean and standard deviation of the mixture given values = rows x + noise, component by component."""
    log_weights, centres, spreads = [], [], []
    for mean, covariance in zip(means(V), covariances(V), strict=True):
        seen = rows @ covariance @ rows.T + sigma_y**2 * np.eye(len(rows))
        gain = np.linalg.solve(seen, rows @ covariance).T
        log_weights.append(multivariate_normal(rows @ mean, seen).logpdf(values))
        centres.append(mean + gain @ (values - rows @ mean))
        spreads.append((covariance - gain @ rows @ covariance).diagonal())
    weights = np.exp(np.array(log_weights) - max(log_weights))
    weights /= weights.sum()
    mean = weights @ np.array(centres)
    variance = weights @ (np.array(spreads) + (np.array(centres) - mean) ** 2)
    return mean, np.sqrt(variance), weights


@pytest.mark.parametrize("name", OPERATORS)
def test_moments_are_those_of_a_dense_computation(prior, name):
    parameters, sigma_y = OPERATORS[name]
    problem = InverseProblem(build("operator", name, parameters), sigma_y, (1, V, 1))
    x = prior.sample(1, Rng(("sphere", name), range(M)))[:, 0]
    y = problem.simulate(x, Rng(("sphere", name, "noise"), range(M)))
    posterior = posterior_of(prior, problem)
    assert isinstance(posterior, Conjugate)
    found = posterior.moments(y)
    draws = posterior.sample(y, 400, Rng(("sphere", "draws"), range(M), range(400)))
    for i in range(M):
        rows, values = blur_matrix(20.0), y[i].flatten().numpy()
        if problem.operator.masked:
            seen = mask_of(y[i : i + 1]).flatten().numpy() == 1
            rows, values = np.eye(V)[seen], values[:V][seen]
        mean, std, weights = dense_moments(rows, values, sigma_y)
        # both solve systems of condition number 1e3 to 1e4 in float64
        np.testing.assert_allclose(found[0][i].flatten(), mean, atol=1e-9)
        np.testing.assert_allclose(found[1][i].flatten(), std, atol=1e-9)
        np.testing.assert_allclose(posterior.mixture(y)[0][i], weights, atol=1e-7)
        # 162 means of 400 draws, none beyond 5 standard errors
        errors = (draws[i].mean(0).flatten().numpy() - mean) / (std / 20)
        assert np.abs(errors).max() < 5
