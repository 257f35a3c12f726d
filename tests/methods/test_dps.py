"""DPS against Algorithm 1 of the paper in its own convention, and against closed forms of its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.numerics.diffusion import ddpm_sigmas
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.runtime.bare_calls import recorded
from methods.dps import DPS

AXES, SHAPE, D = ("test", "dps"), (1, 4, 4), 16


def measurements(prior, problem, m: int) -> torch.Tensor:
    rng = Rng(("test", "y"), range(m))
    return problem.simulate(prior.sample(1, rng)[:, 0], rng)


def mixture() -> GMM:
    """Three Gaussians on 4 x 4 images, so that the denoiser is not linear."""
    rng = Rng(("test", "mixture"), range(3))
    factor = rng.randn((D, D)) / D**0.5
    covariances = 0.05 * factor @ factor.mT + 0.01 * torch.eye(D, dtype=torch.float64)
    return GMM(
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 0.5 * rng.randn(SHAPE), covariances
    )


def draw(
    method, prior, problem, y, num_samples: int, ids=None, samples: range | None = None
) -> torch.Tensor:
    rng = Rng(AXES, range(len(y)) if ids is None else ids, samples or range(num_samples))
    return method.sample(prior, problem, y, num_samples, rng=rng)


class Unbounded(ToyPrior):
    """The toy with noise levels of any size: schedules of few steps begin above its largest."""

    sigma_range = (0.0, math.inf)


def algorithm_1(
    y: np.ndarray, matrix: np.ndarray, prior: ToyPrior, noise: np.ndarray, zeta: float
) -> list[np.ndarray]:
    """The states x_N, ..., x_0 of Algorithm 1 as printed, for one row: y (P,), A (P, D), z (N + 1, D).

    Variance preserving, x_i = sqrt(abar_i) x + sqrt(1 - abar_i) eps; score and Jacobian of the exact Gaussian prior.
    """
    num_steps = len(noise) - 1
    mean, covariance = prior.mean.numpy(), prior.covariance.numpy()
    beta = np.linspace(1e-4, 0.02, num_steps) * 1000 / num_steps
    alpha = 1 - beta
    abar = np.cumprod(alpha)
    x = noise[0]
    states = [x]
    for i in reversed(range(num_steps)):
        abar_next = abar[i - 1] if i else 1.0
        precision = np.linalg.inv(abar[i] * covariance + (1 - abar[i]) * np.eye(D))
        s = -precision @ (x - np.sqrt(abar[i]) * mean)
        x_0 = (x + (1 - abar[i]) * s) / np.sqrt(abar[i])
        jacobian = (np.eye(D) - (1 - abar[i]) * precision) / np.sqrt(abar[i])
        sigma = np.sqrt(beta[i] * (1 - abar_next) / (1 - abar[i]))
        ancestral = np.sqrt(alpha[i]) * (1 - abar_next) / (1 - abar[i]) * x
        ancestral += (
            np.sqrt(abar_next) * beta[i] / (1 - abar[i]) * x_0 + sigma * noise[num_steps - i]
        )
        residual = y - matrix @ x_0
        gradient = -2 * jacobian.T @ matrix.T @ residual  # of the squared norm
        x = ancestral - zeta / np.linalg.norm(residual) * gradient
        states.append(x)
    return states


@pytest.mark.parametrize(("num_steps", "zeta"), [(21, 1.0), (100, 0.3), (100, 1.0), (1000, 1.0)])
def test_trajectory_is_that_of_algorithm_1(num_steps, zeta):
    prior = Unbounded()
    problem, m, s = ToyProblem(prior), 2, 2
    y = measurements(prior, problem, m)
    watched, calls = recorded(prior)
    samples = draw(DPS(num_steps=num_steps, zeta=zeta), watched, problem, y, s)
    ours = torch.stack([*(call.inputs[0].view(m, s, D) for call in calls), samples.view(m, s, D)])

    rng = Rng(AXES, range(m), range(s))
    noise = torch.stack(
        [rng.per_sample.randn(SHAPE).flatten(2) for _ in range(num_steps + 1)]
    ).numpy()
    pixels = torch.eye(D, dtype=y.dtype).view(D, *SHAPE)
    # the mask is the same for all
    matrix = problem.operator(pixels, y[:1].expand(D, -1, -1, -1)).flatten(1).T.numpy()
    abar = np.cumprod(1 - np.linspace(0.1, 20, num_steps) / num_steps)
    scale = np.sqrt(np.append(abar[::-1], 1.0))  # ours is the paper's over sqrt(abar)
    for i, j in np.ndindex(m, s):
        states = algorithm_1(y[i, 0].flatten().numpy(), matrix, prior, noise[:, i, j], zeta)
        theirs = np.stack(states) / scale[:, None]
        # the paper's 1 - abar loses four digits where beta is 1e-4: 1e-12 a step, up to 1000 steps
        np.testing.assert_allclose(
            ours[:, i, j].numpy(), theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs[-1]).max()
        )


def gaussian_recursion(prior: ToyPrior, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of ancestral sampling with the exact denoiser of N(mu, C), one eigenvalue at a time."""
    values, vectors = np.linalg.eigh(prior.covariance.numpy())
    sigmas = ddpm_sigmas(num_steps).numpy()[::-1]
    offset = np.ones(D)  # of the mean, in units of its start at -mu
    variance = np.full(D, 1 + sigmas[0] ** 2)
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        ratio = (sigma_next / sigma) ** 2
        pull = ratio + (1 - ratio) * values / (values + sigma**2)
        offset, variance = pull * offset, pull**2 * variance + sigma_next**2 * (1 - ratio)
    mean = prior.mean.numpy() - vectors @ (offset * (vectors.T @ prior.mean.numpy()))
    return mean, vectors * variance @ vectors.T


def test_without_guidance_the_samples_follow_the_prior():
    prior, num_steps, num_samples = Unbounded(), 100, 4000
    problem = ToyProblem(prior)
    x = draw(
        DPS(num_steps=num_steps, zeta=0),
        prior,
        problem,
        measurements(prior, problem, 1),
        num_samples,
    )[0]
    x = x.flatten(1).numpy()
    mean, covariance = gaussian_recursion(prior, num_steps)
    std = np.sqrt(np.diag(covariance))
    # 16 means and 136 covariances, each with a normal error of the size below: 4.5 of them once in 1000 such tests
    assert (np.abs(x.mean(0) - mean) < 4.5 * std / np.sqrt(num_samples)).all()
    error = np.sqrt((np.outer(std, std) ** 2 + covariance**2) / num_samples)
    assert (np.abs(np.cov(x.T) - covariance) < 4.5 * error).all()


def test_the_bias_of_unguided_sampling_falls_with_the_number_of_steps():
    prior = Unbounded()
    true = prior.covariance.numpy()
    errors = [
        np.linalg.norm(gaussian_recursion(prior, n)[1] - true) / np.linalg.norm(true)
        for n in (100, 200, 400)
    ]
    # a step puts x_0 at its mean, an error of first order in its size: halved, up to terms of second order
    assert errors[1] < 0.55 * errors[0] and errors[2] < 0.55 * errors[1] and errors[2] < 0.03


def test_rows_are_independent_and_each_has_its_own_step_size():
    prior = mixture()
    problem, method = make_problem("saturate", {"gain": 2.0}, 0.1, SHAPE), DPS(num_steps=50)
    y = measurements(prior, problem, 3)
    x = draw(method, prior, problem, y, 4)
    for other in (100 * y[1], torch.full_like(y[1], torch.nan)):
        moved = draw(method, prior, problem, torch.stack([y[0], other, y[2]]), 4)
        assert torch.equal(moved[[0, 2]], x[[0, 2]])  # same shapes, same arithmetic: same bits
    far = draw(method, prior, problem, torch.stack([y[0], 100 * y[1], y[2]]), 4)[1]
    assert not torch.equal(far, x[1]) and far.isfinite().all()


@pytest.mark.parametrize("operator", ["inpaint-box", "saturate"])
def test_one_call_for_all_rows_equals_one_call_per_row(operator):
    prior, method, m, s = mixture(), DPS(num_steps=100), 16, 64
    parameters = {"inpaint-box": {"box": 2}, "saturate": {"gain": 2.0}}[operator]
    problem = make_problem(operator, parameters, 0.1, SHAPE)
    y = measurements(prior, problem, m)
    together = draw(method, prior, problem, y, s)
    for i, j in [(0, 0), (0, 63), (7, 31), (15, 0), (15, 63)]:
        alone = draw(method, prior, problem, y[i : i + 1], 1, [i], range(j, j + 1))[0, 0]
        # products of other shapes round differently, 1e-16 a step; a step of constant length amplifies that somewhat
        torch.testing.assert_close(alone, together[i, j], rtol=1e-9, atol=1e-9)


def test_where_nothing_is_observed_the_samples_are_unguided():
    prior = Unbounded()
    problem = ToyProblem(prior)
    y = measurements(prior, problem, 2)
    y[0] = 0  # values and mask: the residual of this row is exactly zero
    guided = draw(DPS(num_steps=50), prior, problem, y, 3)
    free = draw(DPS(num_steps=50, zeta=0), prior, problem, y, 3)
    assert torch.equal(guided[0], free[0])
    assert guided[1].isfinite().all() and not torch.equal(guided[1], free[1])


def test_a_step_size_for_other_images_keeps_the_displacement_of_a_pixel():
    prior = Unbounded()
    problem = ToyProblem(prior)
    y = measurements(prior, problem, 2)
    scaled = draw(DPS(num_steps=21, zeta=1.0, zeta_size=4 * D), prior, problem, y, 3)
    assert torch.equal(scaled, draw(DPS(num_steps=21, zeta=0.5), prior, problem, y, 3))


def test_noise_levels_end_where_the_prior_ends():
    class Narrow(ToyPrior):
        sigma_range = (0.0, 3.0)

    watched, calls = recorded(Narrow())
    problem = ToyProblem(Unbounded())
    draw(DPS(num_steps=50), watched, problem, measurements(Unbounded(), problem, 1), 2)
    assert max(call.inputs[1].item() for call in calls) == 3.0 and len(calls) == 50


@pytest.mark.parametrize(
    ("settings", "words"), [({"num_steps": 20}, "at least 21"), ({"zeta": -1.0}, "zeta = -1.0")]
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        DPS(**settings)
