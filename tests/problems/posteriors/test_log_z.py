"""Exact log Z: against averages over prior draws."""

import math

import pytest
import torch

from bench.core.rng import Rng
from bench.priors.atoms import Atoms
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.posteriors import HasLogZ, posterior_of

SHAPE, NUM = (1, 2, 2), 200_000


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [
        ("denoise", {}),
        ("average-pool", {"factor": 2}),
        ("inpaint-random", {"visible_fraction": 0.5}),
    ],
)
def test_log_z_of_a_mixture_is_the_mean_likelihood_of_prior_draws(operator, parameters):
    covariances = torch.stack([0.3 * torch.eye(4), 0.1 * torch.eye(4) + 0.2]).double()
    prior = GMM(torch.tensor([0.4, 0.6]).double(), 0.5 * normal(2, *SHAPE), covariances)
    problem = make_problem(operator, parameters, 0.5, SHAPE)
    y = problem.simulate(normal(3, *SHAPE, seed=1), Rng(("y",), range(3)))
    posterior = posterior_of(prior, problem)
    assert isinstance(posterior, HasLogZ)
    x = prior.sample(NUM, Rng(("x",), (0,)))[0]
    for row, exact in zip(y, posterior.log_z(y), strict=True):
        weights = problem.log_likelihood(x, row.expand(NUM, *row.shape)).exp()
        error = weights.std() / math.sqrt(NUM)
        assert abs(weights.mean() - exact.exp()) < 5 * error


def test_log_z_of_a_finite_set_is_the_mean_over_its_atoms():
    atoms = normal(7, *SHAPE)
    problem = make_problem("saturate", {"gain": 2.0}, 0.5, SHAPE)
    y = problem.simulate(atoms[:3], Rng(("y",), range(3)))
    posterior = posterior_of(Atoms(atoms), problem)
    assert isinstance(posterior, HasLogZ)
    likelihoods = torch.stack(
        [problem.log_likelihood(atoms, row.expand(7, *row.shape)).exp() for row in y]
    )
    torch.testing.assert_close(posterior.log_z(y).exp(), likelihoods.mean(1))
