"""What a pairwise distance costs from one pass of its network per image, beside a network pass for each pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """CPU seconds per measurement, one entry each, and by how much the two mean distances differ, relatively."""

    naive: list[float]
    cached: list[float]
    num_measurements: int  # of `cached`; `naive` may have fewer
    max_difference: float

    @property
    def ratio(self) -> float:
        """How many times as long the naive way takes for one measurement."""
        return (sum(self.naive) / len(self.naive)) / (sum(self.cached) / len(self.cached))


def compare_pairs(
    samples: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    mean_pairwise: Callable[[Tensor], float],
    num_naive: int,
) -> Pairs:
    """Time both ways on samples (m, s, *x), the naive one on the first `num_naive` measurements.

    distance: images (n, *x) twice -> (n,); mean_pairwise: images (s, *x) -> mean distance between two of them.
    """
    mean_pairwise(samples[0, :2])  # what is only paid once, at the first call
    cached, found = _timed([lambda x=x: mean_pairwise(x) for x in samples])
    naive, expected = _timed([lambda x=x: _each_pair(x, distance) for x in samples[:num_naive]])
    differences = [abs(a - b) / b for a, b in zip(found, expected, strict=False)]
    return Pairs(naive, cached, len(samples), max(differences))


def _timed(calls: Sequence[Callable[[], float]]) -> tuple[list[float], list[float]]:
    seconds, values = [], []
    for call in calls:
        begin = time.process_time()
        values.append(call())
        seconds.append(time.process_time() - begin)
    return seconds, values


def _each_pair(x: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Mean over unordered pairs: each image against all later ones, in one batch."""
    sums = [distance(x[i : i + 1].expand_as(x[i + 1 :]), x[i + 1 :]).sum().item() for i in range(len(x) - 1)]
    return 2 * sum(sums) / (len(x) * (len(x) - 1))
