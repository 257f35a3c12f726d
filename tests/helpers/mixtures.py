"""A small mixture with an inpainting problem whose posterior is a mixture in closed form, for samplers by particles."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.inverse_problem import InverseProblem
from bench.problems.posteriors import posterior_of

SHAPE = (1, 3, 3)


def mixture_task() -> tuple[GMM, InverseProblem, Tensor]:
    """Return three Gaussians on 3 x 3 images, a problem that hides the pixel in the middle, and one measurement."""
    rng = Rng(("test", "mixture"), range(3))
    factor = rng.randn((9, 9)) / 3
    covariances = 0.1 * factor @ factor.mT + 0.02 * torch.eye(9, dtype=torch.float64)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    prior = GMM(weights, 0.5 * rng.randn(SHAPE), covariances)
    problem = make_problem("inpaint-box", {"box": 1}, 0.3, SHAPE)
    rng = Rng(("test", "y"), range(1))
    return prior, problem, problem.simulate(prior.sample(1, rng)[:, 0], rng)


@torch.no_grad()
def error_of_means(
    method, prior: GMM, problem: InverseProblem, y: Tensor, num_clouds: int
) -> float:
    """Return the mean squared error of a cloud's mean, in units of the posterior's variances."""
    mean, std = posterior_of(prior, problem).moments(y)  # pyright: ignore[reportGeneralTypeIssues]
    rng = Rng(("test", "clouds", method.num_particles), range(num_clouds))
    clouds, x = method.run(prior, problem, y.expand(num_clouds, *y.shape[1:]), rng)
    weights = clouds.log_weight.softmax(1).view(num_clouds, -1, 1, 1, 1)
    means = (weights * x.unflatten(0, (num_clouds, -1))).sum(1)
    return float(((means - mean) / std).square().mean())
