"""Inside of `torch_random` torch's random functions draw from rng, row by row, and not from the global generator."""

from __future__ import annotations

import pytest
import torch

from bench.core.rng import Rng
from bench.numerics.torch_random import torch_random

M, S = 2, 3
N = M * S


def rng(samples=range(S)):
    return Rng(("bridge",), range(M), samples)


WAYS = {
    "randn": lambda n: torch.randn(n, 4),
    "randn of a tuple": lambda n: torch.randn((n, 4), dtype=torch.float64),
    "randn_like": lambda n: torch.randn_like(torch.zeros(n, 4).double()),
    "rand": lambda n: torch.rand(n, 4, generator=torch.Generator()),
    "rand_like": lambda n: torch.rand_like(torch.zeros(n, 4)),
    "randint": lambda n: torch.randint(9, (n, 4)),
    "randint of a range": lambda n: torch.randint(3, 9, (n, 4)),
    "randint_like": lambda n: torch.randint_like(torch.zeros(n, 4), 9),
    "normal": lambda n: torch.normal(torch.zeros(n, 4), 2.0),
    "normal of a size": lambda n: torch.normal(1.0, 2.0, (n, 4)),
    "normal_": lambda n: torch.empty(n, 4).normal_(),
    "uniform_": lambda n: torch.empty(n, 4).uniform_(-1, 1),
    "bernoulli": lambda n: torch.bernoulli(torch.full((n, 4), 0.3)),
    "bernoulli_": lambda n: torch.empty(n, 4).bernoulli_(0.3),
}


@pytest.mark.parametrize("way", WAYS)
def test_draws_of_a_sample_do_not_depend_on_chunks(way):
    before = torch.get_rng_state()
    with torch_random(rng()):
        whole = WAYS[way](N).unflatten(0, (M, S))
    with torch_random(rng(range(1, S))):
        part = WAYS[way](N - M).unflatten(0, (M, S - 1))
    assert torch.equal(whole[:, 1:], part) and len(whole.flatten(0, 1).unique(dim=0)) > 1
    assert torch.equal(torch.get_rng_state(), before)


def test_numbers_are_those_of_rng():
    with torch_random(rng()):
        noise = torch.randn(N, 4, dtype=torch.float64)
        moved = torch.empty(N, 4).double().normal_(mean=1.0, std=3.0)
        levels = torch.randint(3, 9, (N, 5))
    same = rng().per_sample
    assert torch.equal(noise, same.randn((4,)).flatten(0, 1))
    assert torch.equal(moved, 1 + 3 * same.randn((4,)).flatten(0, 1))
    assert torch.equal(levels, 3 + same.randint(6, (5,)).flatten(0, 1))


def test_dtypes_are_those_that_torch_gives():
    with torch_random(rng()):
        assert torch.randn(N, 2).dtype == torch.get_default_dtype()
        assert torch.randn_like(torch.zeros(N, 2).double()).dtype == torch.float64
        assert torch.randint(3, (N,)).dtype == torch.int64
        assert torch.normal(torch.zeros(N, 2).double(), 1.0).dtype == torch.float64


def test_draws_that_are_not_per_sample_are_refused_in_one_line():
    with torch_random(rng()):
        with pytest.raises(
            ValueError, match=r"^torch_random: a draw of shape \(5, 2\); expected one"
        ):
            torch.randn(5, 2)
        with pytest.raises(ValueError, match=r"a draw of shape \(\)"):
            torch.rand(())
        with pytest.raises(ValueError, match="^torch_random: randperm is not drawn from rng"):
            torch.randperm(4)
