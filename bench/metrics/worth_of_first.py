"""Worth in exact draws of the first samples of each measurement: how accuracy grows with the number of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._relative_errors import relative_energy_of
from bench.metrics._spread import ONE_IMAGE

__all__ = ["WorthOfFirst"]


@dataclass(frozen=True)
class WorthOfFirst(Metric):
    """worth_energy of the first samples, with the posterior and with that under a distilled map's teacher."""

    num_samples: tuple[int, ...] = ()  # how many of each measurement; no more than the suite draws

    tiny: ClassVar[Mapping[str, Any]] = {"num_samples": (2,)}

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(column for num in self.num_samples for column in _columns(num))

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        values = {}
        for num in self.num_samples:
            values[f"worth_energy@{num}"] = relative_energy_of(samples, truth, num).reciprocal()
            if truth.teacher is not None:
                of_teacher = relative_energy_of(samples, truth.teacher, num)
                values[f"worth_energy_total@{num}"] = of_teacher.reciprocal()
        return values


def _columns(num: int) -> tuple[Column, Column]:
    first = f"worth_energy of the first {num} samples of a measurement: of a chain, those of its first states"
    total = f"{first}; to the posterior under the prior that the map was distilled from, the map's own error included"
    rest = ("higher", "draws")
    how: dict[str, Any] = {"not_finite": ONE_IMAGE, "average": "harmonic"}
    return (
        Column(f"worth_energy@{num}", first, *rest, "reference", **how),
        Column(f"worth_energy_total@{num}", total, *rest, "teacher", **how),
    )
