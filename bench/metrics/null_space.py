"""Diversity in what a linear operator sees of an image, and in what it does not see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.core.types import Cap
from bench.metrics._axes import EMPTY, LARGEST, Axes, axes_of
from bench.metrics._spread import ratio
from bench.numerics.distances import RESOLUTION

__all__ = ["NullSpace"]

NO_OPERATOR = "n/a (reward, no measurement operator)"
NOT_LINEAR = "n/a (operator is not linear)"
TOO_LARGE = f"n/a (operator mixes more than {LARGEST} values of an image)"
NO_NULL_SPACE = "n/a (operator has no null space)"
IDS = ("diversity_null", "diversity_range", "diversity_null_ratio", "diversity_range_ratio")


@dataclass(frozen=True)
class NullSpace(Metric):
    """Diversity in the null space of a linear operator and in its complement; they add up to diversity."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "diversity_null",
                "diversity in the null space of the linear operator, which no measurement sees (singular values below "
                f"{EMPTY:g} of the largest); diversity_null and diversity_range add up to diversity",
                None,
                "data units^2",
                "operator",
            ),
            Column(
                "diversity_range",
                "diversity in what the linear operator sees, the complement of its null space",
                None,
                "data units^2",
                "operator",
            ),
            *(
                Column(
                    f"{id}_ratio", f"{id} over that of the exact posterior", 1.0, "1", "reference"
                )
                for id in IDS[:2]
            ),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        if reason := reason_without_axes(truth.problem.caps):
            return dict.fromkeys(IDS, reason)
        axes = _axes(truth)[0]
        if axes is None:
            return dict.fromkeys(IDS, TOO_LARGE)
        sees_all = axes.num_seen == truth.draws.shape[2]
        return {id: NO_NULL_SPACE for id in IDS if "_null" in id and sees_all}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        axes = _axes(truth)
        own = variances(axes, samples.flatten(2))
        of_reference = truth.once(
            "variances in null space and range", lambda: variances(axes, truth.draws)
        )
        values = {}
        for part, variance, of_draws in zip(("null", "range"), own, of_reference, strict=True):
            values[f"diversity_{part}"] = 2 * variance
            values[f"diversity_{part}_ratio"] = ratio(variance, of_draws, RESOLUTION**2)
        return values


def reason_without_axes(caps: Cap) -> str:
    """Return the reason why images are not split by an operator's null space, "" where they may be."""
    if Cap.RESIDUAL not in caps:
        return NO_OPERATOR
    return "" if Cap.LINEAR in caps else NOT_LINEAR


def variances(axes: Sequence[Axes | None], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance over D of points (m, n, D) in the null space and in its complement, (m,) each.

    NaN where an operator was not taken apart.
    """
    unknown = x.new_full((2,), math.nan)
    parts = [one.variances(points) if one else unknown for one, points in zip(axes, x, strict=True)]
    null, seen = torch.stack(parts).unbind(1)
    return null, seen


def _axes(truth: Truth) -> list[Axes | None]:
    shape, once = tuple(truth.x_true.shape[1:]), truth.context.once
    return truth.once("axes", lambda: axes_of(truth.problem, truth.y, shape, once))
