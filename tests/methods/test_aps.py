"""APS: its bound against exact log densities, its trained flow against closed-form posteriors."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.numerics.nets import initialise
from bench.priors.atoms import Atoms
from bench.problems import make_problem
from bench.runtime.metering import counted
from methods.aps import APS
from methods.aps.bound import bound, misfit

D, SHAPE = 16, (1, 4, 4)
TINY = dataclasses.replace(APS(), **APS.tiny)


def measurements(prior, problem, m: int) -> Tensor:
    rng = Rng(("test", "y"), range(m))
    return problem.simulate(prior.sample(1, rng)[:, 0], rng)


def train(method: APS, prior, problem, seed: int = 0) -> dict[str, Tensor]:
    return method.train(prior, problem, rng=Rng(("test", "train", seed), [0]))


def draw(
    method: APS, prior, problem, y: Tensor, num_samples: int, state: dict[str, Tensor]
) -> Tensor:
    rng = Rng(("test", "aps"), range(len(y)), range(num_samples))
    return method.sample(prior, problem, y, num_samples, rng=rng, state=state)


def expected_misfit(prior: ToyPrior, x: Tensor, sigma: Tensor) -> Tensor:
    """Its mean over noise, exact: it is quadratic in the noise, so that the points +-sqrt(D) e_i give it. (n,) each."""
    points = D**0.5 * torch.cat([torch.eye(D), -torch.eye(D)]).double().view(-1, *SHAPE)
    rows = (
        x.repeat_interleave(2 * D, 0),
        sigma.repeat_interleave(2 * D),
        points.repeat(len(x), 1, 1, 1),
    )
    return misfit(prior, *rows).unflatten(0, (len(x), 2 * D)).mean(1)


def integral(prior: ToyPrior, x: Tensor, low: float, high: float, num_nodes: int = 200) -> Tensor:
    """Of the expected misfit over log sigma, by the midpoint rule."""
    step = math.log(high / low) / num_nodes
    sigma = low * torch.exp(step * (torch.arange(num_nodes, dtype=x.dtype) + 0.5))
    values = expected_misfit(prior, x.repeat_interleave(num_nodes, 0), sigma.repeat(len(x)))
    return values.view(len(x), num_nodes).sum(1) * step


def minus_log_density(prior: ToyPrior, x: Tensor, sigma: float) -> Tensor:
    """-E log p(x + sigma eps; sigma) for the Gaussian prior, in closed form, (n,)."""
    covariance = prior.covariance + sigma**2 * torch.eye(D, dtype=x.dtype)
    offset, precision = x.flatten(1) - prior.mean, covariance.inverse()
    quadratic = (offset @ precision * offset).sum(1) + sigma**2 * precision.trace()
    return (quadratic + torch.logdet(covariance) + D * math.log(2 * math.pi)) / 2


def test_the_integrated_misfit_is_the_log_density():
    prior, low, high = ToyPrior(), 0.03, 10.0
    x = 2 * prior.sample(5, Rng(("test", "x"), [0]))[0]
    end = minus_log_density(prior, x, high) - D * math.log(high / low)
    # midpoint rule: step^2 / 24 times the change of slope; step = 0.03, slopes up to 2 dim: below 1e-3
    found = integral(prior, x, low, high)
    torch.testing.assert_close(found + end, minus_log_density(prior, x, low), rtol=0, atol=1e-3)
    # with a short range below, the exact log density itself: what is missed is E misfit - dim, which goes as sigma^2
    constant = D / 2 * math.log(2 * math.pi * math.e * 1e-6)
    left_out = (x.flatten(1) - prior.mean).square().sum(1) / (
        2 * 100**2
    ) + prior.covariance.trace() / (2 * 100**2)
    assert left_out.max() < 2e-3
    torch.testing.assert_close(
        integral(prior, x, 1e-3, 100.0, 400) + constant, -prior.log_prob(x), rtol=0, atol=5e-3
    )


def test_the_random_bound_averages_to_the_integral():
    prior, low, high = ToyPrior(), 0.1, 5.0
    x = prior.sample(1, Rng(("test", "x"), [0]))[0]
    values = bound(
        prior, x.expand(4000, *SHAPE), (low, high), Rng(("test", "noise"), [0]), num_noises=2
    )
    error = values.std() / 4000**0.5  # too large, as the noise levels are stratified
    assert abs(values.mean() - integral(prior, x, low, high)[0]) < 4 * error
    assert error < 0.2
    upweighted = bound(
        prior, x.expand(4000, *SHAPE), (low, high), Rng(("test", "noise"), [0]), weighting_power=1.0
    )
    assert (upweighted.mean() - values.mean()).abs() > 4 * error


def test_without_the_jacobian_the_value_is_the_same_and_the_gradient_is_not():
    prior, sigma = ToyPrior(), torch.tensor([0.5, 1.0], dtype=torch.float64)
    x, noise = (Rng(("test", what), range(2)).randn(SHAPE) for what in ("x", "noise"))
    x.requires_grad_()
    whole, part = (
        misfit(prior, x, sigma, noise),
        misfit(prior, x, sigma, noise, through_denoiser=False),
    )
    assert torch.equal(whole, part)
    column = sigma.view(-1, 1, 1, 1)
    (gradient,) = torch.autograd.grad(part.sum(), x)
    expected = 2 * (x - prior.denoise(x + column * noise, sigma)) / column**2
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-12, atol=1e-12)
    assert (torch.autograd.grad(whole.sum(), x)[0] - gradient).abs().max() > 0.1


SETTINGS = {"num_layers": 2, "width": 64, "num_iterations": 300, "sigma_min": 0.01}
FROM_NOTHING = {"base": "identity", "learning_rate": 5e-3, "num_iterations": 500}


@pytest.mark.parametrize(
    ("settings", "largest_kl"),
    [
        ({"prior_term": "elbo", "warm_start": 0.0} | FROM_NOTHING, 0.5),
        ({"prior_term": "density", "warm_start": 0.0} | FROM_NOTHING, 0.5),
        ({"prior_term": "elbo", "warm_start": 0.3}, 0.1),
    ],
    ids=["elbo", "density", "defaults"],
)
def test_posterior_of_a_linear_gaussian_problem(settings, largest_kl):
    """Mean and covariance, within what Talagrand's inequality leaves to a small KL divergence.

    In coordinates where p(x | y) = N(0, I), and q has mean m and covariance S: |m|^2 + |S^(1/2) - I|^2 <= W2^2 <= 2 KL
    (Gelbrich; Talagrand). Samples alone, s of them, add about D / s + D^2 / (4 s) to the left side.
    """
    prior, s = ToyPrior(), 1000
    problem = ToyProblem(prior, sigma_y=0.2)
    method = APS(**(SETTINGS | settings))
    state = train(method, prior, problem)
    y = measurements(prior, problem, 8)
    x = draw(method, prior, problem, y, s, state)
    mean, covariance = problem.posterior(y)

    with torch.no_grad():
        log_q = (
            method._generator(prior, problem, y, state)
            .log_prob(x.flatten(0, 1), y.repeat_interleave(s, 0))
            .view(8, s)
        )
    log_p = MultivariateNormal(mean[:, None], covariance[:, None]).log_prob(x.flatten(2))
    kl = (log_q - log_p).mean(1)
    # log q - log p has a variance of about 2 KL over draws, so that these means are 0.03 accurate
    assert (kl > -0.1).all() and (kl < largest_kl).all(), kl

    root = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(root, (x.flatten(2) - mean[:, None]).mT, upper=False).mT
    values, axes = torch.linalg.eigh(torch.stack([row.T.cov() for row in white]))
    root_of_s = (axes * values.sqrt()[:, None]) @ axes.mT
    gap = white.mean(1).square().sum(1) + (root_of_s - torch.eye(D)).square().sum((1, 2))
    assert (gap < 2 * largest_kl + 2 * (D + D**2 / 4) / s).all()
    # spread off by 0.6 would be seen
    assert 2 * largest_kl + 2 * (D + D**2 / 4) / s < D * (1 - 0.6) ** 2


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    prior = ToyPrior()
    problem = ToyProblem(prior)
    states = [train(TINY, prior, problem, seed) for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["read.0.weight"], states[2]["read.0.weight"])
    assert all(not tensor.requires_grad for tensor in states[0].values())


@pytest.mark.parametrize("num_warm", [0, 3, 4])
def test_rows_through_the_network_during_training(num_warm):
    prior, network = counted(ToyPrior())
    settings = {"num_iterations": 4, "warm_start": num_warm / 4, "num_noises": 3, "batch_size": 5}
    method = dataclasses.replace(TINY, **settings)
    problem = ToyProblem(ToyPrior())
    state = train(method, prior, problem)
    assert network.forward == network.backward == (4 - num_warm) * 3 * 5
    draw(method, prior, problem, measurements(prior, problem, 2), 3, state)
    assert network.forward == (4 - num_warm) * 3 * 5  # none to sample

    score_distillation, network = counted(ToyPrior())
    train(dataclasses.replace(method, through_denoiser=False), score_distillation, problem)
    assert (network.forward, network.backward) == ((4 - num_warm) * 3 * 5, 0)


def test_a_sample_has_the_density_that_training_reckons_with():
    """log q of the generator's two directions, and of a regression base with no coupling in closed form."""
    prior, s = ToyPrior(), 4
    problem = ToyProblem(prior)
    y = measurements(prior, problem, 3).repeat_interleave(s, 0)
    z = Rng(("test", "z"), range(len(y))).randn(SHAPE)
    generator = TINY._generator(prior, problem, y, train(TINY, prior, problem))
    with torch.no_grad():
        x, log_q = generator(z, y)
        # float32, with roots of variances down to 1e-2: rounding of 1e-5 in the white coordinates, of order one each
        torch.testing.assert_close(generator.log_prob(x, y), log_q, rtol=0, atol=5e-3)


def test_the_untrained_generator_is_the_regression():
    prior = ToyPrior()
    problem = ToyProblem(prior, sigma_y=0.2)
    rng = Rng(("test", "pairs"), [0])
    x = prior.sample(20000, rng)[0]
    y = problem.simulate(x, rng)
    generator = TINY._generator(prior, problem, y)
    initialise(generator, rng, zero=generator.ends)
    generator.fit_base(x, y, "regression")
    y = measurements(prior, problem, 4)
    mean, covariance = problem.posterior(y)
    with torch.no_grad():
        centre = generator(torch.zeros(4, *SHAPE).to(y), y)[0].flatten(1)
        log_q = generator.log_prob(mean.unflatten(1, SHAPE), y)
    # a regression on 9 numbers from n pairs errs by std sqrt(9 / n) for a typical y, 0.011 at std 0.5; up to 4 x that
    torch.testing.assert_close(centre, mean, rtol=0, atol=0.04)
    log_p = MultivariateNormal(mean, covariance).log_prob(mean)
    # its log determinant errs by sqrt(D / (2 n)) = 0.02, the quadratic form at the centre by less
    torch.testing.assert_close(log_q, log_p, rtol=0, atol=0.1)


def test_vectors_train_too():
    atoms = Atoms(0.5 * Rng(("test", "atoms"), [0]).randn((50, 3))[0])
    prior, problem = atoms, Shift()
    state = train(TINY, prior, problem)
    y = problem.simulate(
        atoms.sample(1, Rng(("test", "x"), range(2)))[:, 0], Rng(("test", "y"), range(2))
    )
    x = draw(TINY, prior, problem, y, 5, state)
    assert x.shape == (2, 5, 3) and x.isfinite().all()


@dataclasses.dataclass(frozen=True)
class Shift:
    """y = x + 0.1 n for vectors: a problem without operator."""

    caps: ClassVar[Cap] = Cap.GRAD | Cap.SIMULATE

    def simulate(self, x: Tensor, rng: Rng) -> Tensor:
        return x + 0.1 * rng.randn((len(x) // len(rng), 3)).flatten(0, 1)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return (y - x).square().sum(1) / (-2 * 0.1**2)


def test_impossible_settings_are_refused_with_a_message():
    with pytest.raises(ValueError, match="Cap.DENSITY"):
        atoms = Atoms(Rng(("test", "atoms"), [0]).randn((5, *SHAPE))[0])
        train(
            dataclasses.replace(TINY, prior_term="density"),
            atoms,
            make_problem("denoise", {}, 0.5, SHAPE),
        )
    for wrong in (
        {"sigma_min": 2.0},
        {"warm_start": 1.5},
        {"num_noises": 0},
        {"num_layers": -1},
        {"prior_term": "x"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            APS(**wrong)
