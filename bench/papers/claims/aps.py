"""Claims on amortised samplers in data space: quality and speed beside DPS, measurements not trained on."""

from __future__ import annotations

from functools import partial

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import Effect, counted_effect, format_pairs, log_ratio, mean_effect
from bench.papers.claims.evidence import DISTANCE, Evidence, seconds_of
from bench.stats.results import TaskResults

APS, DPS, PRIOR_DRAWS = "aps", "dps", "unconditional"


def distance_ratio(evidence: Evidence, other: str) -> Effect | str:
    """Return the distance of APS over that of another method."""
    pairs = _pairs(evidence, other)
    if not pairs:
        return f"needs aps and {other} on one task"
    ratios = {
        t.name: log_ratio(*(evidence.values(t, m, DISTANCE) for m in pair)) for t, *pair in pairs
    }
    return mean_effect(ratios, format_pairs([(ours, theirs) for _, ours, theirs in pairs]))


def speed_ratio(evidence: Evidence) -> Effect | str:
    """Return seconds per sample of DPS over those of APS.

    They are the clock's at its largest number of samples where both were clocked, else the jobs'.
    """
    pairs = _pairs(evidence, DPS)
    if not pairs:
        return "needs aps and dps on one task"
    rough, clocked = {}, {}
    for task, *pair in pairs:
        timings = [timing for method in pair if (timing := evidence.timing(task, method))]
        rough[task.name] = [seconds_of(task, method) for method in pair]
        if len(timings) == 2:
            clocked[task.name] = [timing["curve"][-1]["median"] for timing in timings]
    kind = (
        "by the clock"
        if clocked
        else "by the seconds of the jobs, a rough figure: needs a clock to be sure"
    )
    ratios = {name: dps / aps for name, (aps, dps) in (clocked or rough).items()}
    compared = format_pairs([(theirs, ours) for _, ours, theirs in pairs])
    return counted_effect(ratios, f"{compared}, {kind}, training left out as in the paper")


def _pairs(evidence: Evidence, other: str) -> list[tuple[TaskResults, str, str]]:
    """Return the tasks on which both methods ran, each with its row of APS and of the other."""
    rows = [
        (t, evidence.first_method_of(t, APS), evidence.first_method_of(t, other))
        for t in evidence.suite.tasks
    ]
    return [(task, ours, theirs) for task, ours, theirs in rows if ours and theirs]


CLAIMS = (
    Claim("aps-quality", "aps", "abstract", "P", "One network evaluation per sample, with competitive quality",
          "At most 1.25 times as far from the exact posterior as DPS",
          f"{DISTANCE} of aps over that of dps, geometric mean, paired by measurement", 1.25, "below",
          partial(distance_ratio, other=DPS)),
    Claim("aps-speed", "aps", "abstract", "P",
          "One network evaluation per sample is far quicker than a diffusion sampler",
          "At least 10 times quicker than DPS per sample, training left out",
          "Seconds per sample of dps over those of aps", 10.0, "above", speed_ratio),
    Claim("aps-unseen", "aps", "reviews", "R",
          "The sampler generalises to measurements not trained on (reviewers: it is trained on those of the test)",
          "On measurements that no training saw, less than half as far from the exact posterior as draws of the prior",
          f"{DISTANCE} of aps over that of unconditional, geometric mean, paired by measurement",
          0.5, "below", partial(distance_ratio, other=PRIOR_DRAWS)),
    Claim("aps-unseen-images", "aps", "reviews", "R", "A sampler trained on CelebA serves FFHQ",
          lacks="needs two data sets of faces: natural images"),
    Claim("aps-celeba", "aps", "Table 2", "R", "Quality on CelebA at least that of DPS and MCG",
          lacks="needs CelebA; none of the paper's numbers could be found, and there is no public code"),
    Claim("aps-manifold", "aps", "abstract", "P", "The same holds for signals on manifolds and for climate data",
          lacks="needs a diffusion model on a manifold, and its data"),
)  # fmt: skip
