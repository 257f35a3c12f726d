"""Comparisons of seconds do the same work on both sides."""

from __future__ import annotations

import torch
from helpers.descent import Descent

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.cost.comparisons import compare_pairwise, compare_with_network, compare_with_single_rows


def test_overhead_and_batching():
    prior = ToyPrior()
    problem = ToyProblem(prior)
    y = problem.simulate(prior.sample(1, Rng(("y",), range(3)))[:, 0], Rng(("y",), range(3)))
    beside = compare_with_network(Descent(), prior, problem, y, 4, repeats=3)
    assert (beside.num_calls, beside.num_backward, len(beside.ratios)) == (8, 4, 3)
    together = compare_with_single_rows(Descent(), prior, problem, y, 4)
    # four contracting steps: rounding of 1e-16 cannot grow to 1e-12
    assert together.num_rows == 12 and together.max_difference < 1e-12


def test_both_ways_of_pairs_see_the_same_distances():
    samples = torch.arange(24.0, dtype=torch.float64).reshape(2, 4, 3) ** 2
    passes = []

    def distance(x, y):
        passes.append(len(x))
        return (x - y).square().sum(1)

    def mean_pairwise(x):
        # the mean squared distance of two points is twice their variance
        return 2 * x.var(0).sum().item()

    actual = compare_pairwise(samples, distance, mean_pairwise, num_naive=1)
    assert (len(actual.cached), len(actual.naive), actual.num_measurements) == (2, 1, 2)
    assert passes == [3, 2, 1]  # each unordered pair once
    assert actual.max_difference < 1e-14  # a few roundings of 1e-16
