"""A claim of a paper, the test of it on a suite, and when it counts as supported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.papers.claims.effects import Effect
from bench.papers.claims.evidence import Evidence

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
    "Headline claims of the four papers, in our words, as hypotheses whose margins are the same "
    "for every suite. "
    f"A claim is {SUPPORTED} where the whole interval lies on its side of the margin, and {NOT_SUPPORTED} otherwise: "
    "contradicted where all of it lies on the other side, undecided where it holds the margin. Intervals over "
    "measurements have 95 % each, paired, averaged over the tasks named; they speak for those tasks, for digits and "
    "shapes of 8 to 16 pixels a side and for our implementations, not for natural images. What is counted and not "
    "estimated (network rows) has the range over tasks in their place. Marks: "
    + ", ".join(f"{mark} seen in {where}" for mark, where in MARKS.items())
)


@dataclass(frozen=True)
class Claim:
    """A paper's claim as a hypothesis: it holds where the effect is `side` of `margin`.

    says: the claim, paraphrased. test: returns an effect from the results or, as text, what these lack; None where no
    suite could have it, and `lacks` says what is missing.
    """

    id: str
    paper: str
    where: str
    mark: str
    says: str
    hypothesis: str = "none fixed"
    statistic: str = "none"
    margin: float = 0.0
    side: Literal["above", "below"] = "below"
    test: Callable[[Evidence], Effect | str] | None = None
    lacks: str = ""

    @property
    def source(self) -> str:
        return f"{PAPERS[self.paper]}, {self.where} [{self.mark}]"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. effect, low and high are None where nothing was tested."""

    claim: Claim
    effect: float | None
    low: float | None
    high: float | None
    verdict: str
    why: str


def assess(claim: Claim, evidence: Evidence) -> Entry:
    """Test a claim on a suite and return its entry in the ledger."""
    effect = claim.test(evidence) if claim.test else claim.lacks
    if isinstance(effect, str):
        return Entry(claim, None, None, None, UNTESTABLE, effect)
    if effect.low is None or effect.high is None:
        return Entry(
            claim,
            effect.value,
            None,
            None,
            UNTESTABLE,
            f"one measurement has no interval; {effect.detail}",
        )
    sign = 1 if claim.side == "above" else -1
    ends = sorted((sign * (effect.low - claim.margin), sign * (effect.high - claim.margin)))
    if ends[0] > 0:
        return Entry(claim, effect.value, effect.low, effect.high, SUPPORTED, effect.detail)
    how = "contradicted" if ends[1] <= 0 else f"undecided: the interval holds {claim.margin:g}"
    return Entry(
        claim, effect.value, effect.low, effect.high, NOT_SUPPORTED, f"{how}; {effect.detail}"
    )
