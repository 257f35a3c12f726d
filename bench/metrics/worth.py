"""Worth of samples in independent exact draws: the number of draws that have the same error in expectation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._relative_errors import relative_energy_of, relative_error_of_mean
from bench.metrics._spread import ONE_IMAGE

__all__ = ["Worth"]


@dataclass(frozen=True)
class Worth(Metric):
    """Worth of all samples of a measurement in exact draws, by the error of their mean and by their energy distance."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        means = (
            "number of independent exact draws whose mean has the same squared error in expectation: 1 / r of "
            "r = (|mean of the samples - mean of the posterior|^2 - the reference's own share) / trace of the "
            "posterior's covariance; s exact draws have r = 1 / s in expectation. It does not see the spread: samples "
            "that collapse on the posterior's mean have a high one, so read it beside worth_energy"
        )
        energies = (
            "number of independent exact draws whose energy distance to the posterior is the same in expectation: 1 / "
            "r of r = (2 E|X-Y| - sum of |x_i - x_j| over all i, j / s^2 - E|Y-Y'|) / E|Y-Y'|; s exact draws have r = "
            "1 / s, s draws in groups of c equal ones c / s; biased or too wide samples are worth few, however many "
            "they are"
        )
        summary = (
            ". Averages over measurements are harmonic, 1 / mean r; r is unbiased, so the value of a single "
            "measurement may be negative"
        )
        return tuple(
            Column(
                id,
                what + summary,
                "higher",
                "draws",
                "reference",
                not_finite=ONE_IMAGE,
                average="harmonic",
            )
            for id, what in (("worth_mean", means), ("worth_energy", energies))
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        return {
            "worth_mean": relative_error_of_mean(samples.flatten(2), truth).reciprocal(),
            "worth_energy": relative_energy_of(samples, truth).reciprocal(),
        }
