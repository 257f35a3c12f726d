"""Functions of all metrics of diversity: ratios to the reference, and its means over blocks of as many draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.core.metric import Truth
from bench.numerics.distances import RESOLUTION


def ratio(values: Tensor, of_reference: Tensor, smallest: float) -> Tensor:
    """Return values / of_reference, (m,) each; NaN where the latter is at most `smallest`, that is, rounding."""
    return values / of_reference.where(of_reference > smallest, math.nan)


def resolution_of(dimension: int) -> float:
    """Return the distance of two images of so many values that are the same within RESOLUTION."""
    return RESOLUTION * math.sqrt(dimension)


def mean_over_blocks(function: Callable[[Tensor], Tensor], truth: Truth, num: int) -> Tensor:
    """Return the mean (m,) of function(draws) -> (m,) over blocks of `num` reference draws, computed once.

    It serves statistics that depend on the number of samples. Draws that do not fill a block are left out.
    """

    def mean() -> Tensor:
        return torch.stack(
            [function(x) for x in truth.draws.split(num, 1) if x.shape[1] == num]
        ).mean(0)

    return truth.once(("mean over blocks", function, num), mean)
