"""Compare CPU seconds: a method with its network calls alone, a batch with single rows, a pass per image with pairs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Method, Prior, Problem
from bench.runtime.bare_calls import own_calls, recorded, replay, replay_own
from bench.runtime.stopwatch import seconds_of

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Overhead:
    """Seconds of a method and of its network calls alone, one entry per repeat.

    network: calls of the prior's. own: calls of networks that the method trained for itself, empty without any.
    """

    method: list[float]
    network: list[float]
    num_calls: int
    num_backward: int
    own: list[float] = field(default_factory=list)
    num_own: int = 0

    @property
    def ratio(self) -> float:
        """Return median seconds of the method over median seconds of its calls of the prior's network."""
        return statistics.median(self.method) / statistics.median(self.network)

    @property
    def ratio_with_own(self) -> float:
        """Return median seconds of the method over those of all its network calls, its own networks' as well."""
        own = statistics.median(self.own) if self.own else 0.0
        return statistics.median(self.method) / (statistics.median(self.network) + own)

    @property
    def ratios(self) -> list[float]:
        """Return the ratio of each repeat; their spread shows how busy the machine was otherwise."""
        return [method / network for method, network in zip(self.method, self.network, strict=True)]


@dataclass(frozen=True)
class Batching:
    """Seconds of one call for all measurements and samples, seconds of one call per row, and how far samples differ."""

    max_difference: float
    batched: float
    one_by_one: float
    num_rows: int

    @property
    def ratio(self) -> float:
        return self.one_by_one / self.batched


@dataclass(frozen=True)
class PairwiseDistances:
    """Seconds of a mean pairwise distance, an entry per measurement, by a pass per pair (naive) or per image (cached).

    num_measurements: entries of `cached`; `naive` may have fewer. max_difference: between the two means, relative.
    """

    naive: list[float]
    cached: list[float]
    num_measurements: int
    max_difference: float

    @property
    def ratio(self) -> float:
        """Return how many times as long the naive way takes for one measurement."""
        return (sum(self.naive) / len(self.naive)) / (sum(self.cached) / len(self.cached))


def compare_with_network(
    method: Method, prior: Prior, problem: Problem, y: Tensor, num_samples: int, repeats: int = 7
) -> Overhead:
    """Time the method and its network calls alone in turns, after one untimed run of each.

    y: (m, *y).
    """
    watched, calls = recorded(prior)
    with own_calls(watched) as (view, own):
        draw(method, view, problem, y, num_samples)
    replay(prior, calls)
    replay_own(own)
    of_method, of_network, of_own = [], [], []
    for _ in range(repeats):
        of_method.append(seconds_of(lambda: draw(method, prior, problem, y, num_samples), y.device))
        of_network.append(seconds_of(lambda: replay(prior, calls), y.device))
        if own:
            of_own.append(seconds_of(lambda: replay_own(own), y.device))
    num_backward = sum(len(call.cotangents) for call in calls)
    return Overhead(of_method, of_network, len(calls), num_backward, of_own, len(own))


def compare_with_single_rows(
    method: Method, prior: Prior, problem: Problem, y: Tensor, num_samples: int
) -> Batching:
    """Draw (m, s) samples in one call and again one at a time, from the same random streams.

    y: (m, *y).
    """
    together = []
    alone = torch.empty(len(y), num_samples, *prior.shape, dtype=y.dtype, device=y.device)
    draw(method, prior, problem, y[:1], 1)
    batched = seconds_of(
        lambda: together.append(draw(method, prior, problem, y, num_samples)), y.device
    )

    def draw_one_by_one() -> None:
        for i in range(len(y)):
            for j in range(num_samples):
                rng = Rng(("overhead",), [i], range(j, j + 1), y.dtype, y.device.type)
                alone[i, j] = method.sample(prior, problem, y[i : i + 1], 1, rng=rng)[0, 0]

    seconds = seconds_of(draw_one_by_one, y.device)
    return Batching(
        (together[0] - alone).abs().max().item(), batched, seconds, len(y) * num_samples
    )


def compare_pairwise(
    samples: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    mean_pairwise: Callable[[Tensor], float],
    num_naive: int,
) -> PairwiseDistances:
    """Time both ways on samples (m, s, *x), the naive one on the first `num_naive` measurements.

    distance: images (n, *x) twice -> (n,); mean_pairwise: images (s, *x) -> mean distance between two of them.
    """
    mean_pairwise(samples[0, :2])  # untimed: the first call does work that later ones do not repeat
    cached, means = _time_each([partial(mean_pairwise, x) for x in samples])
    naive, expected = _time_each(
        [partial(_mean_over_pairs, x, distance) for x in samples[:num_naive]]
    )
    differences = [abs(a - b) / b for a, b in zip(means, expected, strict=False)]
    return PairwiseDistances(naive, cached, len(samples), max(differences))


def draw(method: Method, prior: Prior, problem: Problem, y: Tensor, num_samples: int) -> Tensor:
    """Draw (m, num_samples, *x) for y (m, *y), from streams named by the measurements' numbers."""
    rng = Rng(("overhead",), range(len(y)), range(num_samples), y.dtype, y.device.type)
    return method.sample(prior, problem, y, num_samples, rng=rng)


def _time_each(calls: Sequence[Callable[[], float]]) -> tuple[list[float], list[float]]:
    """Return CPU seconds and results of calls."""
    results: list[float] = []
    seconds = [seconds_of(lambda call=call: results.append(call()), CPU) for call in calls]
    return seconds, results


def _mean_over_pairs(x: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Return the mean over unordered pairs of x (s, *x): each image against all later ones, in one batch."""
    sums = [
        distance(x[i : i + 1].expand_as(x[i + 1 :]), x[i + 1 :]).sum().item()
        for i in range(len(x) - 1)
    ]
    return 2 * sum(sums) / (len(x) * (len(x) - 1))
