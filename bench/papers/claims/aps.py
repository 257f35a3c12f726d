"""Claims on amortised samplers in data space: quality and speed beside DPS, measurements not trained on."""

from __future__ import annotations

from bench.papers.claims.evidence import DISTANCE, Evidence, Finding, counted, log_ratio, pooled, seconds, used
from bench.papers.claims.ledger import Claim
from bench.stats.results import TaskResults

APS, DPS, CEILING = "aps", "dps", "unconditional"


def farther(evidence: Evidence, other: str) -> Finding | str:
    """Distance of APS over that of another method."""
    pairs = _pairs(evidence, other)
    found = {t.name: log_ratio(*(evidence.values(t, m, DISTANCE) for m in pair)) for t, *pair in pairs}
    return pooled(found, used([(a, b) for _, a, b in pairs])) if pairs else f"needs aps and {other} on one task"


def quicker(evidence: Evidence) -> Finding | str:
    """Seconds per sample of DPS over those of APS: the clock's at its largest number of samples, else the jobs'."""
    pairs = _pairs(evidence, DPS)
    if not pairs:
        return "needs aps and dps on one task"
    clocked = {t.name: [evidence.timing(t, m) for m in pair] for t, *pair in pairs}
    clocked = {name: [x["curve"][-1]["median"] for x in found] for name, found in clocked.items() if all(found)}
    rough = {t.name: [seconds(t, m) for m in pair] for t, *pair in pairs}
    kind = "by the clock" if clocked else "by the seconds of the jobs, a rough figure: needs a clock to be sure"
    ratios = {name: dps / aps for name, (aps, dps) in (clocked or rough).items()}
    return counted(ratios, f"{used([(b, a) for _, a, b in pairs])}, {kind}, training left out as in the paper")


def _pairs(evidence: Evidence, other: str) -> list[tuple[TaskResults, str, str]]:
    names = [(task, evidence.tried(task, APS), evidence.tried(task, other)) for task in evidence.suite.tasks]
    return [(task, ours[0], theirs[0]) for task, ours, theirs in names if ours and theirs]


def near_dps(evidence: Evidence) -> Finding | str:
    return farther(evidence, DPS)


def near_posterior(evidence: Evidence) -> Finding | str:
    return farther(evidence, CEILING)


CLAIMS = (
    Claim("aps-quality", "aps", "abstract", "P", "One network evaluation per sample, with competitive quality",
          "At most 1.25 times as far from the exact posterior as DPS",
          f"{DISTANCE} of aps over that of dps, geometric mean, paired by measurement", 1.25, "below", near_dps),
    Claim("aps-speed", "aps", "abstract", "P",
          "One network evaluation per sample is far quicker than a diffusion sampler",
          "At least 10 times quicker than DPS per sample, training left out",
          "Seconds per sample of dps over those of aps", 10.0, "above", quicker),
    Claim("aps-unseen", "aps", "reviews", "R",
          "The sampler generalises to measurements not trained on (reviewers: it is trained on those of the test)",
          "On measurements that no training saw, less than half as far from the exact posterior as draws of the prior",
          f"{DISTANCE} of aps over that of unconditional, geometric mean, paired by measurement",
          0.5, "below", near_posterior),
    Claim("aps-unseen-images", "aps", "reviews", "R", "A sampler trained on CelebA serves FFHQ",
          lacks="needs two data sets of faces: natural images"),
    Claim("aps-celeba", "aps", "Table 2", "R", "Quality on CelebA at least that of DPS and MCG",
          lacks="needs CelebA; none of the paper's numbers could be found, and there is no public code"),
    Claim("aps-manifold", "aps", "abstract", "P", "The same holds for signals on manifolds and for climate data",
          lacks="needs a diffusion model on a manifold, and its data"),
)  # fmt: skip
