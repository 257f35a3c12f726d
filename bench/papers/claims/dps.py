"""Claims on diffusion posterior sampling: its step size, and images."""

from __future__ import annotations

import numpy as np

from bench.papers.claims.evidence import DISTANCE, Evidence, Finding, log_ratio, pooled, setting, settings
from bench.papers.claims.ledger import Claim
from bench.stats.results import TaskResults

DPS, DEFAULT = "dps", 1.0
LOW, HIGH = 0.1, 1.0  # of zeta', as the paper advises


def insensitive(evidence: Evidence) -> Finding | str:
    """Distance at the worst step size over that at the best one, both told by their means on the task."""
    found, sizes = {}, {}
    for task in evidence.suite.tasks:
        by_zeta = _by_zeta(evidence, task)
        if len(by_zeta) > 1 and min(by_zeta) <= LOW and max(by_zeta) >= HIGH:
            values = {zeta: evidence.values(task, method, DISTANCE) for zeta, method in by_zeta.items()}
            mean = {zeta: np.mean([np.log(x) for x in v.values()]) for zeta, v in values.items() if v}
            worst, best = max(mean, key=lambda z: mean[z]), min(mean, key=lambda z: mean[z])
            found[task.name], sizes[task.name] = log_ratio(values[worst], values[best]), (worst, best)
    words = ", ".join(f"{task} zeta {worst:g} against {best:g}" for task, (worst, best) in sizes.items())
    lacks = f"needs dps at zeta {LOW:g} and {HIGH:g} with all else equal"
    return pooled(found, words) if found else lacks


def _by_zeta(evidence: Evidence, task: TaskResults) -> dict[float, str]:
    """Methods that differ in zeta alone, within the paper's range: of the largest such group."""
    groups: dict[str, dict[float, str]] = {}
    for method in evidence.tried(task, DPS):
        zeta = float(setting(task, method, "zeta") or DEFAULT)
        rest = {key: value for key, value in settings(task, method).items() if key != "zeta"}
        if LOW <= zeta <= HIGH:
            groups.setdefault(str(sorted(rest.items())), {})[zeta] = method
    return max(groups.values(), key=len, default={})


CLAIMS = (
    Claim("dps-zeta", "dps", "advice on zeta'", "P", "Any step size zeta' from 0.1 to 1 works",
          "At most 1.5 times as far from the exact posterior at the worst zeta within 0.1 to 1 as at the best",
          f"{DISTANCE} at the worst over that at the best of the zetas run, geometric mean, paired by measurement", 1.5,
          "below", insensitive),
    Claim("dps-images", "dps", "Tables 1 to 4", "P", "Lower FID and LPIPS than DDRM, MCG, PnP-ADMM and others",
          lacks="needs FFHQ and ImageNet, FID on natural images, and those baselines"),
    Claim("dps-schedule", "dps", "Table 5", "P",
          "A constant zeta' is at least as good as other schedules of step sizes",
          lacks="needs dps with other schedules of its step size"),
    Claim("dps-steps", "dps", "Fig. 11a", "P", "Best of all from about 250 network evaluations on, DDRM is below",
          lacks="needs DDRM, and LPIPS on natural images"),
)  # fmt: skip
