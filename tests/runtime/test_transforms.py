"""The meter and budgets count calls under torch.func and batches of gradients, or refuse them in one line."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

from bench.conformance.toy import ToyPrior
from bench.core.rng import Rng
from bench.core.specs import Budget
from bench.runtime.metering import BudgetExceeded, counted, limits_of

N, K = 6, 4
SIGMA = torch.tensor(0.3, dtype=torch.float64)


@pytest.fixture
def metered():
    prior, meter = counted(ToyPrior())
    return lambda x: prior.denoise(x, SIGMA), meter


@pytest.fixture
def x():
    return Rng(("test",), [0]).randn((N, 1, 4, 4))[0]


@pytest.fixture
def several():
    return Rng(("test",), [1]).randn((K, N, 1, 4, 4))[0]


def rows(meter):
    return meter.forward, meter.backward


def test_a_batch_of_vmap_counts_whole(metered, several):
    denoise, meter = metered
    torch.func.vmap(denoise)(several)
    assert rows(meter) == (K * N, 0)
    # nested, and over the noise level alone
    torch.func.vmap(torch.func.vmap(lambda row: denoise(row[None])))(several)
    assert rows(meter) == (2 * K * N, 0)
    prior, meter = counted(ToyPrior())
    levels = torch.linspace(0.1, 1, K, dtype=torch.float64)
    torch.func.vmap(lambda sigma: prior.denoise(several[0], sigma))(levels)
    assert rows(meter) == (K * N, 0)


def test_gradients_around_and_inside_of_vmap_count_whole(metered, several):
    denoise, meter = metered
    point = several.clone().requires_grad_()
    torch.func.vmap(denoise)(point).sum().backward()
    assert rows(meter) == (K * N, K * N)
    torch.func.vmap(torch.func.grad(lambda x: denoise(x).sum()))(several)
    assert rows(meter) == (2 * K * N, 2 * K * N)
    torch.func.grad(lambda x: torch.func.vmap(denoise)(x).sum())(several)
    assert rows(meter) == (3 * K * N, 3 * K * N)


def test_many_gradients_of_one_call_count_each(metered, x, several):
    denoise, meter = metered
    _, vjp = torch.func.vjp(denoise, x)
    torch.func.vmap(vjp)(several)
    assert rows(meter) == (N, K * N)
    torch.func.jacrev(denoise)(x[:1])
    assert rows(meter) == (N + 1, K * N + 16)


def test_directions_of_forward_mode_count_as_rows_backward(metered, x):
    denoise, meter = metered
    torch.func.jvp(denoise, (x,), (x,))
    assert rows(meter) == (N, N)
    with forward_ad.dual_level():
        denoise(forward_ad.make_dual(x, x))
    assert rows(meter) == (2 * N, 2 * N)
    torch.func.jacfwd(denoise)(x[:1])
    assert rows(meter) == (2 * N + 1, 2 * N + 16)


def test_a_gradient_whose_graph_is_kept_counts_twice(metered, x):
    denoise, meter = metered
    torch.autograd.functional.jvp(denoise, x, x)  # two passes: backward, and through that
    assert rows(meter) == (N, 2 * N)
    torch.func.grad(lambda x: torch.func.grad(lambda x: denoise(x).square().sum())(x).sum())(x)
    assert meter.backward >= 4 * N


def test_what_cannot_be_counted_is_refused_in_one_line(metered, x, several):
    denoise, _ = metered
    point = x.clone().requires_grad_()
    with pytest.raises(
        ValueError, match="^gradients with is_grads_batched cannot be counted; "
    ) as e:
        torch.autograd.grad(denoise(point), point, several, is_grads_batched=True)
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match="^torch.func.jvp around another transform"):
        torch.func.hessian(lambda x: denoise(x).sum())(x[:1])


def test_a_budget_holds_under_vmap_and_for_gradients(x, several):
    prior, meter = counted(ToyPrior(), limits_of(Budget(nfe=K - 1), num_samples=N))
    with pytest.raises(BudgetExceeded, match="needs more than the budget"):
        torch.func.vmap(lambda x: prior.denoise(x, SIGMA))(several)
    assert rows(meter) == (0, 0)
    point = x.clone().requires_grad_()
    denoised = prior.denoise(point, SIGMA).sum()
    for _ in range(K - 2):
        torch.autograd.grad(denoised, point, retain_graph=True)
    with pytest.raises(BudgetExceeded, match="needs more than the budget"):
        torch.autograd.grad(denoised, point)
    assert rows(meter) == (N, (K - 2) * N)


def test_values_under_transforms_stay_as_they_are(metered, x):
    denoise, _ = metered
    bare = ToyPrior()
    expected = torch.func.jvp(lambda x: bare.denoise(x, SIGMA), (x,), (x,))
    assert all(map(torch.equal, torch.func.jvp(denoise, (x,), (x,)), expected))


@pytest.mark.parametrize(
    ("x_shape", "sigma_shape", "words"),
    [
        (
            (N, 1, 4, 4),
            (N, 1, 1, 1),
            r"sigma has shape \(6, 1, 1, 1\); expected \(\) or \(n,\) = \(6,\)",
        ),
        ((N, 1, 4, 4), (N + 1,), r"sigma has shape \(7,\)"),
        (
            (2, 3, 1, 4, 4),
            (),
            r"x_t has shape \(2, 3, 1, 4, 4\); expected \(n, \*x\), \*x = \(1, 4, 4\)",
        ),
    ],
)
def test_shapes_that_priors_do_not_take_are_refused_in_one_line(x_shape, sigma_shape, words):
    prior, meter = counted(ToyPrior())
    with pytest.raises(ValueError, match=f"^prior.denoise: {words}"):
        prior.denoise(torch.zeros(x_shape).double(), torch.ones(sigma_shape).double())
    assert rows(meter) == (0, 0)
