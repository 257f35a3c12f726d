"""Claims on diffusion posterior sampling: its step size, and images."""

from __future__ import annotations

import numpy as np

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import Effect, log_ratio, mean_effect
from bench.papers.claims.evidence import DISTANCE, Evidence, settings_of
from bench.stats.results import TaskResults

DPS, DEFAULT = "dps", 1.0
LOW, HIGH = 0.1, 1.0  # of zeta', as the paper advises


def worst_over_best(evidence: Evidence) -> Effect | str:
    """Return the distance at the worst step size over that at the best one, both chosen by their means on the task."""
    ratios, sizes = {}, {}
    for task in evidence.suite.tasks:
        by_zeta = _rows_by_zeta(evidence, task)
        if len(by_zeta) > 1 and min(by_zeta) <= LOW and max(by_zeta) >= HIGH:
            values = {
                zeta: evidence.values(task, method, DISTANCE) for zeta, method in by_zeta.items()
            }
            mean = {
                zeta: np.mean([np.log(x) for x in v.values()]) for zeta, v in values.items() if v
            }
            worst, best = (choose(mean, key=lambda zeta: mean[zeta]) for choose in (max, min))
            ratios[task.name], sizes[task.name] = (
                log_ratio(values[worst], values[best]),
                (worst, best),
            )
    if not ratios:
        return f"needs dps at zeta {LOW:g} and {HIGH:g} with all else equal"
    detail = ", ".join(
        f"{task} zeta {worst:g} against {best:g}" for task, (worst, best) in sizes.items()
    )
    return mean_effect(ratios, detail)


def _rows_by_zeta(evidence: Evidence, task: TaskResults) -> dict[float, str]:
    """Return rows that differ in zeta alone, within the paper's range: of the largest such group."""
    groups: dict[str, dict[float, str]] = {}
    for method in evidence.methods_of(task, DPS):
        others = dict(settings_of(task, method))
        zeta = float(others.pop("zeta", None) or DEFAULT)
        if LOW <= zeta <= HIGH:
            groups.setdefault(str(sorted(others.items())), {})[zeta] = method
    return max(groups.values(), key=len, default={})


CLAIMS = (
    Claim("dps-zeta", "dps", "advice on zeta'", "P", "Any step size zeta' from 0.1 to 1 works",
          "At most 1.5 times as far from the exact posterior at the worst zeta within 0.1 to 1 as at the best",
          f"{DISTANCE} at the worst over that at the best of the zetas run, geometric mean, paired by measurement", 1.5,
          "below", worst_over_best),
    Claim("dps-images", "dps", "Tables 1 to 4", "P", "Lower FID and LPIPS than DDRM, MCG, PnP-ADMM and others",
          lacks="needs FFHQ and ImageNet, FID on natural images, and those baselines"),
    Claim("dps-schedule", "dps", "Table 5", "P",
          "A constant zeta' is at least as good as other schedules of step sizes",
          lacks="needs dps with other schedules of its step size"),
    Claim("dps-steps", "dps", "Fig. 11a", "P", "Best of all from about 250 network evaluations on, DDRM is below",
          lacks="needs DDRM, and LPIPS on natural images"),
)  # fmt: skip
