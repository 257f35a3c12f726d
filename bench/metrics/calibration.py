"""Ranks of x_true among the samples, over all measurements of a task: simulation-based calibration and TARP.

Talts et al. 2018, https://arxiv.org/abs/1804.06788; Lemos et al. 2023, https://arxiv.org/abs/2302.03026.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._ranks import (
    BAND,
    LEVELS,
    misfits,
    rank_interval,
    share_below,
    share_interval,
    to_points,
)

__all__ = ["Calibration"]

DEFINITIONS = {
    "tarp": "TARP expected coverage: share of measurements where at most {level:.0%} of the samples are nearer to a "
    "fixed reference point than x_true is; mean over the 16 points of tarp_exact",
    "sbc-misfit": "rank statistic of simulation-based calibration, of the log likelihood: share of measurements where "
    "at most {level:.0%} of the samples fit the measurement better than x_true does",
}
READING = (
    "Ties and ends by their probability under a randomised rank. Above the level samples spread too far, below it "
    "too little. Calibration on tasks whose x_true is a draw of the prior (truth: prior), where an exact sampler is "
    "at the level; with real images it shows how far the prior is from them, and the row of the reference is the "
    "standard"
)


@dataclass(frozen=True)
class Calibration(Metric):
    """Shares of measurements whose x_true has a low rank, each with its interval."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return tuple(
            column for name in DEFINITIONS for level in LEVELS for column in _columns(name, level)
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        tarp = rank_interval(
            to_points(samples.flatten(2)), to_points(truth.x_true.flatten(1)[:, None])
        )
        of_x_true = truth.once("misfits of x_true", lambda: misfits(truth.x_true[:, None], truth))
        ranks = {"tarp": tarp, "sbc-misfit": rank_interval(misfits(samples, truth), of_x_true)}
        return {
            f"{name}_x_true@{level}": share_below(*ranks[name], level)
            for name in ranks
            for level in LEVELS
        }

    def summarise(
        self, samples: Tensor, values: dict[str, Tensor], context: Context
    ) -> dict[str, float]:
        summary = {}
        for id, cases in values.items():
            share = cases.mean().item()
            low, high = share_interval(share, len(cases))
            summary |= {id: share, f"{id}_low": low, f"{id}_high": high}
        return summary


def _columns(name: str, level: float) -> tuple[Column, ...]:
    """Return a share and the ends of its interval."""
    id, definition = f"{name}_x_true@{level}", f"{DEFINITIONS[name].format(level=level)}. {READING}"
    end = f"end of the {BAND:.0%} interval of {id} (Clopper-Pearson), which holds {level} where {id} is in its band"
    texts = {id: definition, f"{id}_low": f"lower {end}", f"{id}_high": f"upper {end}"}
    return tuple(
        Column(id, text, level, needs="operator", extent="task") for id, text in texts.items()
    )
