"""HMC: its kernel against the properties of Hamiltonian flow, its samples against a closed form."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
import torch
from helpers.latent_truth import (
    assert_finite_at_the_stated_cost,
    assert_moments,
    draw,
    measurements,
)
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.numerics import mcmc
from methods.hmc import HMC, InImages, InLatents


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def double(value: object) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def quartic(x: Tensor) -> tuple[Tensor, Tensor]:
    """log p = -sum x^4 / 4 - x_0 x_1: neither Gaussian nor a product."""
    others = torch.zeros_like(x)
    others[:, 0], others[:, 1] = x[:, 1], x[:, 0]
    return -x.pow(4).sum(1) / 4 - x[:, 0] * x[:, 1], -x.pow(3) - others


ROOT = double([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [-0.3, 0.2, 1.5]])


def energy(state: mcmc.ChainState, momentum: Tensor) -> Tensor:
    return momentum.square().sum(1) / 2 - state.log_density


@pytest.mark.parametrize("root", [None, ROOT], ids=["plain", "whitened"])
def test_leapfrog_runs_backwards(root):
    state, momentum, step = mcmc.start(normal(6, 3), quartic), normal(6, 3, seed=1), double(0.1)
    end, final = mcmc.leapfrog(state, momentum, quartic, step, 20, root)
    assert (end.position - state.position).norm(dim=1).min() > 0.1
    back, start = mcmc.leapfrog(end, -final, quartic, step, 20, root)
    torch.testing.assert_close(back.position, state.position, rtol=0, atol=1e-11)
    torch.testing.assert_close(-start, momentum, rtol=0, atol=1e-11)


@pytest.mark.parametrize("root", [None, ROOT], ids=["plain", "whitened"])
def test_leapfrog_keeps_volume(root):
    def flow(phase: Tensor) -> Tensor:
        state = mcmc.start(phase[None, :3], quartic)
        end, final = mcmc.leapfrog(state, phase[None, 3:], quartic, double(0.2), 5, root)
        return torch.cat([end.position, final], 1)[0]

    jacobian = torch.autograd.functional.jacobian(flow, normal(6))
    assert (jacobian - torch.eye(6)).abs().max() > 0.1
    assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-11)


def test_energy_errs_by_the_square_of_the_step():
    state, momentum = mcmc.start(normal(200, 3), quartic), normal(200, 3, seed=1)

    def error(num_steps: int) -> float:
        end, final = mcmc.leapfrog(state, momentum, quartic, double(1 / num_steps), num_steps)
        return (energy(end, final) - energy(state, momentum)).square().mean().sqrt().item()

    # a second-order method: a quarter at half the step, up to terms of the next order
    assert error(40) / error(80) == pytest.approx(4, rel=0.02)
    assert error(80) / error(160) == pytest.approx(4, rel=0.01)


def test_whitening_is_a_change_of_coordinates():
    """Momentum along root in z is plain HMC for w = root^-1 z."""

    def white(w: Tensor) -> tuple[Tensor, Tensor]:
        log_density, gradient = quartic(w @ ROOT.T)
        return log_density, gradient @ ROOT

    w, momentum, step = normal(6, 3), normal(6, 3, seed=1), double(0.1)
    plain, final = mcmc.leapfrog(mcmc.start(w, white), momentum, white, step, 7)
    whitened, same = mcmc.leapfrog(
        mcmc.start(w @ ROOT.T, quartic), momentum, quartic, step, 7, ROOT
    )
    torch.testing.assert_close(plain.position @ ROOT.T, whitened.position)
    torch.testing.assert_close(final, same)


def test_hmc_leaves_a_gaussian_invariant_and_accepts_by_its_energy():
    scales, n = double([0.3, 1.0, 2.0]), 20_000

    def target(x: Tensor) -> tuple[Tensor, Tensor]:
        return -(x / scales).square().sum(1) / 2, -x / scales.square()

    state, rates = mcmc.start(scales * normal(n, 3), target), []
    for i in range(5):
        momentum, before = normal(n, 3, seed=10 + i), state
        state, acceptance = mcmc.hmc_step(
            before, target, double(0.45), 3, momentum, uniform(n, seed=20 + i)
        )
        end, final = mcmc.leapfrog(before, momentum, target, double(0.45), 3)
        expected = (energy(before, momentum) - energy(end, final)).exp().clamp_max(1)
        torch.testing.assert_close(acceptance, expected, rtol=1e-10, atol=1e-12)
        chosen = uniform(n, seed=20 + i) < acceptance
        assert torch.equal(
            state.position, torch.where(chosen[:, None], end.position, before.position)
        )
        rates.append(acceptance.mean().item())
    assert min(rates) > 0.5 and max(rates) < 0.95  # so that the correction has something to do
    white = state.position / scales
    assert white.mean(0).abs().max() < 5 / n**0.5
    assert (white.T.cov() - torch.eye(3)).abs().max() < 5 * (2 / n) ** 0.5


def test_a_state_that_is_not_finite_is_refused():
    def target(x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(x[:, 0] > 1, torch.nan, 0.0), torch.zeros_like(x)

    state = mcmc.start(double([[0.0], [0.0]]), target)
    state, acceptance = mcmc.hmc_step(
        state, target, double(1.0), 1, double([[0.5], [3.0]]), torch.zeros(2).double()
    )
    assert acceptance.tolist() == [1, 0] and state.position.flatten().tolist() == [0.5, 0]


def test_retempering_needs_no_evaluation():
    prior = ToyPrior()
    problem = ToyProblem(prior)
    z, space = normal(5, 16), InLatents(prior, problem, measurements(prior, problem, 5))
    levels = [mcmc.start(z, partial(space.target, level=level)) for level in (3.0, 1.0)]
    torch.testing.assert_close(mcmc.retempered(levels[0], 9.0), levels[1])
    # terms of 1e2 divided by 9 and multiplied again
    torch.testing.assert_close(mcmc.retempered(levels[1], 1 / 9), levels[0], rtol=1e-10, atol=1e-10)


def test_dual_averaging_finds_the_step_of_an_acceptance_rate():
    adaptation = mcmc.DualAveraging.begin(double([1.0, 0.01]))
    for _ in range(300):
        acceptance = (-adaptation.log_step.exp()).exp()  # as if acceptance fell as exp(-step)
        adaptation = adaptation.updated(acceptance, 0.6)
    # the residual error is O(1 / sqrt(count))
    torch.testing.assert_close(
        adaptation.kept.exp(), double([0.6, 0.6]).log().neg(), rtol=0.15, atol=0
    )
    assert mcmc.DualAveraging.begin(double([0.3])).kept.exp() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        *product(("latent", "data"), ({}, {"anneal": 1.0, "leniency": 1.0, "num_curvature": 0})),
        ("data", {"num_white": 40}),
    ],
    ids=str,
)
def test_chains_have_the_posterior_moments(settings, space):
    prior, num_chains = ToyPrior(), 64
    problem = ToyProblem(prior, sigma_y=0.2)
    y = measurements(prior, problem, 2)
    y[1] = 0  # nothing measured: the posterior is the prior
    # plain chains from the prior, without the curvature to tell the step, get more time to find it
    method = HMC(
        space=space,
        num_chains=num_chains,
        thin=3,
        **settings | ({"num_adapt": 40} if settings else {}),
    )
    x = draw(method, prior, problem, y, 60 * num_chains).flatten(2)
    for samples, mean, covariance in zip(x, *problem.posterior(y), strict=True):
        # pixels mix more slowly
        power = 0.05 if space == "latent" else 0.1
        assert_moments(samples, num_chains, mean, covariance, power=power)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "num_chains": 3,
            "num_curvature": 1,
            "num_warmup": 2,
            "num_adapt": 3,
            "num_leapfrog": 2,
            "thin": 4,
        },
        {"num_curvature": 0, "num_warmup": 0, "num_adapt": 0, "thin": 1, "num_chains": 50},
    ],
    ids=str,
)
@pytest.mark.parametrize("space", ["latent", "data"])
def test_samples_are_finite_and_the_cost_is_as_stated(settings, space):
    assert_finite_at_the_stated_cost(HMC(space=space, **settings))


def test_a_mass_matrix_costs_the_draws_that_tell_it():
    assert_finite_at_the_stated_cost(HMC(space="data", num_white=5))


@pytest.mark.parametrize("kind", [InLatents, InImages])
def test_after_warm_up_the_target_does_not_depend_on_the_annealing(kind):
    prior = ToyPrior()
    problem = ToyProblem(prior)
    space, rng = (
        kind(prior, problem, measurements(prior, problem, 4)),
        Rng(("test", "hmc"), range(4)),
    )

    def trajectory(state, step, level, leniency):
        assert leniency == (1e-8 if level > 1 or len(seen) < 10 else 1.0)
        seen.append(float(level))
        target = partial(space.target, level=level)
        torch.testing.assert_close(state, mcmc.start(state.position, target), rtol=1e-9, atol=1e-9)
        return mcmc.hmc_step(state, target, step, 2, rng.randn((16,)), rng.rand(()))

    seen = []
    method = HMC(num_warmup=10, num_adapt=3)
    state, _ = method._warm_up(
        trajectory, space, rng.randn((16,)), torch.full((4, 1), 100.0).double(), 4
    )
    assert len(seen) == 13 and seen == sorted(seen, reverse=True) and seen[9:] == [1.0] * 4
    torch.testing.assert_close(state, mcmc.start(state.position, space.target))


@pytest.mark.parametrize("adapts", [True, False])
def test_the_step_adapts_only_where_it_may(adapts):
    prior = ToyPrior()
    problem = ToyProblem(prior)
    space = InLatents(prior, problem, measurements(prior, problem, 3))

    def trajectory(state, step, level, leniency):
        taken.append(step.flatten().tolist())
        return state, torch.ones(3).double()

    taken = []
    method = HMC(num_warmup=2, num_adapt=2, num_curvature=0, step=0.01, anneal=1.0, adapts=adapts)
    flat = torch.zeros(3, 1).double()
    _, step = method._warm_up(trajectory, space, normal(3, 16), flat, 3)
    assert taken[0] == pytest.approx([0.01] * 3)
    assert all(row == pytest.approx([0.01] * 3) for row in taken[1:]) != adapts
    assert (step.flatten().tolist() == pytest.approx([0.01] * 3)) != adapts


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_leapfrog": 0}, "num_leapfrog = 0"),
        ({"num_warmup": -1}, "num_warmup = -1"),
        ({"num_white": 1}, "num_white = 1: expected 0, or 2 draws or more"),
        ({"jitter": 1.0}, "0 <= jitter < 1"),
        ({"leniency": 0.0}, "leniency = 0.0"),
        ({"space": "images"}, "space = 'images': expected 'latent' or 'data'"),
    ],
)
def test_impossible_settings_are_refused_with_a_message(settings, words):
    with pytest.raises(ValueError, match=words):
        HMC(**settings)
