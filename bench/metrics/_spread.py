"""Functions of all metrics of diversity: ratios to the posterior, and its means over blocks of as many draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.core.metric import Truth
from bench.numerics.distances import RESOLUTION, mean_distance_within

ONE_IMAGE = "n/a (the posterior is nearly one image)"


def ratio(values: Tensor, of_reference: Tensor, smallest: float) -> Tensor:
    """Return values / of_reference, (m,) each; NaN where the latter is at most `smallest`, that is, rounding."""
    return values / of_reference.where(of_reference > smallest, math.nan)


def is_one_image(truth: Truth) -> Tensor:
    """Return whether all reference draws of a measurement are the same image within rounding, (m,).

    Then samples have no spread to be compared with, whatever a formula gives (a sum over training images may have a
    variance of 1e-37). All other images together weigh less than 3 / e, or one of e draws would be another image (with
    a probability of 1 - (1 - 3 / e)^e = 95 %). All s samples of an exact sampler are then the same image, too, in at
    least 1 - 3 s / e of all cases, 81 % for 16 samples and 256 draws: its ratio would be 0 there, and not 1, and the
    few other cases would decide every mean.
    """
    return truth.of_draws(mean_distance_within) <= resolution_of(truth.draws.shape[2])


def over_posterior(values: Tensor, of_posterior: Tensor, truth: Truth) -> Tensor:
    """Return values over the posterior's own, (m,) each; NaN, shown as ONE_IMAGE, where it is nearly one image."""
    return values / of_posterior.masked_fill(is_one_image(truth), math.nan)


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
