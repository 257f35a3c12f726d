"""Distances of samples from a distilled map to the posterior under the map's teacher.

They contain both the sampler's error and the map's; the columns without _total contain the sampler's error alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._distances import energy_of
from bench.metrics._relative_errors import relative_energy_of
from bench.metrics._spread import ONE_IMAGE
from bench.numerics.distances import projected, sliced_wasserstein2

__all__ = ["Total"]

DISTANCES = {
    "sw2-128": "sliced Wasserstein-2 distance of samples and exact draws from the posterior",
    "energy": "unbiased energy distance of samples and exact draws from the posterior",
    "mean_error": "RMS over pixels of mean of the samples - mean of the posterior",
}


@dataclass(frozen=True)
class Total(Metric):
    """Three distances to the teacher's posterior, and the samples' worth in its draws."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        where = (
            "under the prior from which the map was distilled (the column without _total: under the map itself). In "
            "the row of the reference it is the error of the map alone"
        )
        worth = "number of independent draws with the same energy distance to the posterior"
        return (
            *(
                Column(
                    f"{id}_total",
                    f"{what} {where}",
                    "lower",
                    "data units",
                    "teacher",
                    of_point=id == "mean_error",
                )
                for id, what in DISTANCES.items()
            ),
            Column(
                "worth_energy_total",
                f"{worth} {where}",
                "higher",
                "draws",
                "teacher",
                not_finite=ONE_IMAGE,
                average="harmonic",
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x, teacher = samples.flatten(2), truth.teacher
        assert teacher is not None
        return {
            "sw2-128_total": sliced_wasserstein2(projected(x), teacher.of_draws(projected)),
            "energy_total": energy_of(samples, teacher),
            "mean_error_total": (x.mean(1) - teacher.mean.flatten(1)).square().mean(1).sqrt(),
            "worth_energy_total": relative_energy_of(samples, teacher).reciprocal(),
        }
