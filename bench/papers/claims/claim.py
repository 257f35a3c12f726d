"""A claim of a paper: the rows and tasks by which it is judged, and when it counts as supported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bench.papers.claims.effects import Effect, Test
from bench.papers.claims.evidence import Evidence, Lacking

SUPPORTED, NOT_SUPPORTED, UNTESTABLE = "supported", "not supported", "not testable here"
PAPERS = {"cps": "CPS, arXiv 2410.02078", "aps": "APS, arXiv 2407.17907"}
PAPERS |= {"ods": "ODS, arXiv 2502.06999", "dps": "DPS, arXiv 2209.14687"}
MARKS = {
    "P": "the paper's own text",
    "C": "its released code",
    "R": "its public reviews",
    "S": "a secondary source that quotes it",
}
RULE = (
    "These are the main claims of the four papers, in our words, as hypotheses with fixed margins, each with the "
    f"rows and tasks that judge it. A claim is {SUPPORTED} if the whole interval lies on its side of the margin, and "
    f"{NOT_SUPPORTED} otherwise: contradicted if all of it lies on the other side, undecided if it contains the "
    f"margin. It is {UNTESTABLE} if a row or a task is not in the suite, or if the effect has no interval. Each "
    "interval has 95 %, paired over measurements and crossed with training seeds, and over the visits of the clock if "
    "times are involved. Verdicts hold for the tasks named, for digits of 8 x 8 pixels and for our implementations, "
    "not for natural images. Marks: "
    + ", ".join(f"{mark} seen in {where}" for mark, where in MARKS.items())
)


@dataclass(frozen=True)
class Claim:
    """A paper's claim as a hypothesis: it holds if the effect is on `side` ("above" or "below") of `margin`.

    says: the claim, paraphrased. test: the effect with its rows, measured on `tasks`; None where no suite can measure
    it, and then `lacks` names what is missing.
    """

    id: str
    paper: str
    where: str
    mark: str
    says: str
    hypothesis: str = "none fixed"
    test: Test | None = None
    tasks: tuple[str, ...] = ()
    margin: float = 0.0
    side: Literal["above", "below"] = "below"
    lacks: str = ""

    @property
    def source(self) -> str:
        return f"{PAPERS[self.paper]}, {self.where} [{self.mark}]"

    @property
    def rows(self) -> tuple[str, ...]:
        return self.test.rows if self.test else ()

    @property
    def statistic(self) -> str:
        return self.test.statistic if self.test else "none"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. effect, low and high are None if the claim was not tested."""

    claim: Claim
    effect: float | None
    low: float | None
    high: float | None
    verdict: str
    why: str


def assess(claim: Claim, evidence: Evidence) -> Entry:
    """Test a claim on a suite and return its entry in the ledger."""
    if claim.test is None:
        return _untested(claim, claim.lacks)
    try:
        effect = claim.test.measure(evidence, claim.tasks)
    except Lacking as lacking:
        return _untested(claim, str(lacking))
    interval = effect.interval
    if not interval.is_known:
        return _untested(claim, f"{_why_no_interval(interval.low)}; {effect.detail}")
    verdict, how = _verdict(claim, effect)
    why = "; ".join(filter(None, (how, effect.detail)))
    return Entry(claim, interval.value, interval.low, interval.high, verdict, why)


def _verdict(claim: Claim, effect: Effect) -> tuple[str, str]:
    """Return the verdict on an effect with an interval, and for a failed hypothesis whether it was contradicted."""
    sign = 1 if claim.side == "above" else -1
    ends = (effect.interval.low, effect.interval.high)
    least, most = sorted(sign * (end - claim.margin) for end in ends)
    if least > 0:
        return SUPPORTED, ""
    undecided = f"undecided: the interval holds {claim.margin:g}"
    return NOT_SUPPORTED, "contradicted" if most <= 0 else undecided


def _why_no_interval(low: float) -> str:
    if math.isnan(low):
        return "the effect has no interval: it is of one measurement or of one visit of the clock"
    return "the effect has no interval: its ends are the same"


def _untested(claim: Claim, why: str) -> Entry:
    return Entry(claim, None, None, None, UNTESTABLE, why)
