"""Meters count network calls and change nothing; budgets stop a run before the call that exceeds them."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import pytest
import torch
from helpers.descent import Descent

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.core.specs import Budget
from bench.core.types import Cap
from bench.runtime.metering import (
    BudgetExceeded,
    PriorView,
    ProblemView,
    counted,
    counted_problem,
    limits_of,
)

N = 6


@pytest.fixture
def prior():
    return ToyPrior()


@pytest.fixture
def x():
    return Rng(("test",), [0]).randn((N, 1, 4, 4))[0]


def test_forward_rows(prior, x):
    watched, meter = counted(prior)
    watched.denoise(x, torch.tensor(0.3))
    watched.log_prob(x[:2])
    assert (meter.forward, meter.backward) == (N + 2, 0)
    assert meter.nfe(4) == (N + 2) / 4 and meter.nfe_vjp(4) == 0


def test_a_call_beyond_the_budget_is_not_made(prior, x):
    watched, meter = counted(prior, limits_of(Budget(nfe=3), num_samples=N))
    problem, method = ToyProblem(prior), Descent(num_steps=1)
    y = problem.simulate(x[:2], Rng(("y",), range(2)))
    # one step costs two rows forward and one backward per sample: just what there is
    method.sample(watched, problem, y, 3, rng=Rng(("budget",), range(2), range(3)))
    assert (meter.forward, meter.backward) == (2 * N, N)
    with pytest.raises(
        BudgetExceeded, match="needs more than the budget of 3 network rows per sample"
    ):
        watched.denoise(x[:1], torch.tensor(0.3))
    assert meter.forward == 2 * N


def test_a_spectrum_costs_no_rows_and_is_that_of_the_operator(prior, x):
    problem = ToyProblem(prior)
    y = problem.simulate(x, Rng(("y",), range(N)))
    watched, meter = counted_problem(problem)
    assert watched.operator.spectrum(y, prior.shape).values.shape == x.shape
    assert (meter.forward, meter.backward) == (0, 0)


def test_seconds_run_out(prior, x):
    watched, _ = counted(prior, limits_of(Budget(seconds=1e-9), num_samples=N))
    with pytest.raises(BudgetExceeded, match="needs more than the budget of 1e-09 s"):
        watched.denoise(x, torch.tensor(0.3))


def test_memory_runs_out(prior, x):
    watched, _ = counted(prior, limits_of(Budget(mib=64), num_samples=N))
    watched.denoise(x, torch.tensor(0.3))
    kept = mmap.mmap(-1, 2**27)  # fresh pages, whatever the allocator has kept of earlier tests
    kept.write(b"x" * 2**27)
    with pytest.raises(BudgetExceeded, match="needs more than the budget of 64 MiB"):
        watched.denoise(x, torch.tensor(0.3))
    kept.close()


def test_a_decode_costs_its_network_calls(x):
    @dataclass(frozen=True)
    class Slow(ToyPrior):
        decode_nfe: int = 40

    watched, meter = counted(Slow())
    torch.autograd.grad(watched.decode(x.requires_grad_()).sum(), x)
    assert (meter.forward, meter.backward) == (40 * N, 40 * N)


def test_a_prior_draw_costs_its_network_calls():
    @dataclass(frozen=True)
    class Decoding(ToyPrior):
        sample_nfe: int = 3

    for prior, rows in ((ToyPrior(), 0), (Decoding(), 3 * 2 * 5)):
        watched, meter = counted(prior)
        watched.sample(5, Rng(("test",), range(2)))
        assert (meter.forward, meter.backward) == (rows, 0)


def test_backward_counts_passes_through_the_network(prior, x):
    watched, meter = counted(prior)
    x.requires_grad_()
    x_0 = watched.denoise(x, torch.tensor(0.3))
    assert meter.backward == 0
    torch.autograd.grad(x_0.square().sum(), x_0, retain_graph=True)
    assert meter.backward == 0  # a gradient by the output does not enter the network
    for passes in (1, 2):
        torch.autograd.grad(x_0.square().sum(), x, retain_graph=True)
        assert meter.backward == passes * N
    with torch.no_grad():
        watched.denoise(x, torch.tensor(0.3))
    assert (meter.forward, meter.backward) == (2 * N, 2 * N)


def test_functional_transforms_are_counted(prior, x):
    watched, meter = counted(prior)
    _, vjp = torch.func.vjp(lambda v: watched.denoise(v, torch.tensor(0.3)), x)
    vjp(x)
    assert (meter.forward, meter.backward) == (N, N)


def test_values_and_graph_stay_as_they_are(prior, x):
    x.requires_grad_()
    bare = prior.denoise(x, torch.tensor(0.3))
    watched = counted(prior)[0].denoise(x, torch.tensor(0.3))
    assert torch.equal(bare, watched) and type(bare.grad_fn) is type(watched.grad_fn)
    assert bare.grad_fn.next_functions[0][0].name() == watched.grad_fn.next_functions[0][0].name()
    assert torch.equal(
        torch.autograd.grad(bare.sum(), x)[0], torch.autograd.grad(watched.sum(), x)[0]
    )


def test_a_view_shows_the_interface_and_nothing_else(prior):
    watched, _ = counted(prior)
    assert watched.shape == prior.shape and watched.caps == prior.caps and watched.decode_nfe == 1
    with pytest.raises(
        AttributeError, match="prior.covariance is not part of the interface; a method may use caps"
    ):
        watched.covariance  # noqa: B018


def test_a_view_shows_the_capabilities_that_it_is_given(prior):
    def tap(kind, call, *inputs):
        return call(*inputs)

    assert PriorView(prior, tap, Cap.DENOISER | Cap.GRAD).caps == Cap.DENOISER
    assert ProblemView(ToyProblem(prior), tap, Cap.DENOISER | Cap.GRAD).caps == Cap.GRAD


def test_operator_rows(prior, x):
    problem, meter = counted_problem(ToyProblem(prior))
    rng = Rng(("test",), [0])
    y = problem.simulate(x, rng)
    x.requires_grad_()
    problem.log_likelihood(x, y).sum().backward()
    problem.operator.adjoint(problem.operator(x.detach(), y), y)
    problem.sample_posterior(y, 2, Rng(("test",), range(N), range(2)))
    assert (meter.forward, meter.backward) == (4 * N, N)
    assert problem.sigma_y == 0.1 and problem.operator.linear
