"""Hamiltonian moves of tempered particles keep a normal law, and their metric is its covariance."""

import torch

from bench.numerics.tempering import Numbers, Tempered, hmc_move, root_of_metric


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PRECISION = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)  # of the likelihood


def evaluate(z):
    """Prior N(0, I), likelihood N(0, PRECISION^-1): at power beta the precision is I + beta PRECISION."""
    gradient = -z @ PRECISION
    return Tempered(z, -z.square().sum(2) / 2, (z * gradient).sum(2) / 2, -z, gradient)


def test_the_metric_of_a_normal_law_is_its_covariance():
    precision = torch.stack([torch.eye(2) + beta * PRECISION for beta in (0.0, 0.5, 1.0)])
    root = torch.linalg.cholesky(torch.linalg.inv(precision))
    z = normal(3, 20000, 2) @ root.mT + 3.0
    found = root_of_metric(z, -(z - 3.0) @ precision)
    torch.testing.assert_close(found @ found.mT, torch.linalg.inv(precision), rtol=0, atol=1e-2)


def test_moves_keep_each_tempered_distribution():
    beta, n = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64), 40000
    covariance = torch.linalg.inv(torch.eye(2) + beta[:, None, None] * PRECISION)
    root = torch.linalg.cholesky(covariance)
    state = evaluate(normal(3, n, 2) @ root.mT)
    numbers = Numbers(normal(3, n, 2, seed=1), uniform(3, n, seed=2), uniform(3, n, seed=3))
    step = torch.tensor([0.5, 1.2, 1.6], dtype=torch.float64)  # large: some moves are refused
    moved, acceptance = hmc_move(state, evaluate, beta, step, root, 3, numbers)
    assert (acceptance.mean(1) > 0.3).all() and acceptance[2].mean() < 0.97
    found = moved.position.mT @ moved.position / n
    assert ((found - covariance).abs() < 5 * (2 / n) ** 0.5).all()
    torch.testing.assert_close(moved, evaluate(moved.position))
    distance = (moved.position - state.position).square().mean(1) / covariance.diagonal(
        dim1=1, dim2=2
    )
    assert (distance > 0.5).all()  # of 2 for independent draws
