"""Coverage of the central intervals of pixels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Need, Truth
from bench.metrics._ranks import LEVELS, MOST_RANKED, coverages, ordered

__all__ = ["Coverage"]

WELL_SPECIFIED = (
    ". Calibration on tasks whose x_true is a draw of the prior (truth: prior), where an exact sampler is at the "
    "level; with real images it shows how far the prior is from them, and the row of the reference is the standard"
)


@dataclass(frozen=True)
class Coverage(Metric):
    """Share of the pixels of draws of the posterior, and of x_true, in the central intervals of the samples."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            *(_column("exact", "all exact draws", "reference", level) for level in LEVELS),
            *(_column("x_true", "x_true", "operator", level, WELL_SPECIFIED) for level in LEVELS),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x = ordered(samples.flatten(2))
        x_true = truth.once("ordered x_true", lambda: ordered(truth.x_true.flatten(1)[:, None]))
        values = {"exact": truth.of_draws(ordered), "x_true": x_true}
        return {
            f"coverage_{whose}@{level}": share
            for whose, of_whom in values.items()
            for level, share in coverages(x, of_whom).items()
        }


def _column(whose: str, described: str, needs: Need, level: float, note: str = "") -> Column:
    definition = (
        f"share of the pixels of {described} inside the central {level:.0%} interval of the samples' pixel values, "
        "ends and ties counted by their probability under a randomised rank (exact at any number of samples); of "
        f"images of more than {MOST_RANKED} values, {MOST_RANKED} fixed ones"
    ) + note
    return Column(f"coverage_{whose}@{level}", definition, level, needs=needs)
