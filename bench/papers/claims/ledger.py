"""What a claim, a finding and a line of the ledger are, and when a claim counts as supported."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.text import csv_text, markdown, rounded
from bench.papers.beside import Words, markdown_words
from bench.papers.claims.evidence import Evidence, Finding

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
COLUMNS = ("claim", "source", "hypothesis", "test", "effect", "verdict", "why")


@dataclass(frozen=True)
class Claim:
    """`says`: the claim, paraphrased. It holds where the effect is `side` of `margin`.

    test: a finding from the results, or in words what these lack; None where no suite could have it, and `lacks` says
    what is missing.
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
    test: Callable[[Evidence], Finding | str] | None = None
    lacks: str = ""

    @property
    def source(self) -> str:
        return f"{PAPERS[self.paper]}, {self.where} [{self.mark}]"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger; effect, low and high are None where nothing was tested."""

    claim: Claim
    effect: float | None
    low: float | None
    high: float | None
    verdict: str
    why: str


def judged(claim: Claim, evidence: Evidence) -> Entry:
    found = claim.test(evidence) if claim.test else claim.lacks
    if isinstance(found, str):
        return Entry(claim, None, None, None, UNTESTABLE, found)
    if found.low is None or found.high is None:
        return Entry(claim, found.effect, None, None, UNTESTABLE, f"one measurement has no interval; {found.detail}")
    sign = 1 if claim.side == "above" else -1
    ends = sorted((sign * (found.low - claim.margin), sign * (found.high - claim.margin)))
    if ends[0] > 0:
        return Entry(claim, found.effect, found.low, found.high, SUPPORTED, found.detail)
    how = "contradicted" if ends[1] <= 0 else f"undecided: the interval holds {claim.margin:g}"
    return Entry(claim, found.effect, found.low, found.high, NOT_SUPPORTED, f"{how}; {found.detail}")


def ledger_csv(entries: Sequence[Entry]) -> str:
    names = ("id", "claim", "source", "hypothesis", "test", "margin", "side", "effect", "low", "high", "verdict", "why")
    rows = []
    for x in entries:
        c = x.claim
        margin = (c.margin, c.side) if c.test else (None, None)
        found = (*margin, x.effect, x.low, x.high, x.verdict, x.why)
        rows.append((c.id, c.says, c.source, c.hypothesis, c.statistic, *found))
    return csv_text(names, rows)


def ledger_words(entries: Sequence[Entry]) -> Words:
    """The ledger as a table of words: what was tested first."""
    tested = sorted(entries, key=lambda x: x.verdict == UNTESTABLE)
    return Words(COLUMNS, tuple(_row(x) for x in tested))


def ledger_markdown(title: str, entries: Sequence[Entry]) -> str:
    return f"# {markdown(title)}\n\n{markdown(RULE)}.\n\n{markdown_words(ledger_words(entries))}\n"


def _row(x: Entry) -> tuple[str, ...]:
    return x.claim.says, x.claim.source, x.claim.hypothesis, x.claim.statistic, _shown(x), x.verdict, x.why


def _shown(entry: Entry) -> str:
    if entry.effect is None:
        return ""
    if not math.isfinite(entry.high or 0):
        return f"{entry.effect:.3g} [{entry.low:.3g}, {entry.high:.3g}]"
    effect, low, high = rounded(entry.effect, entry.low, entry.high)
    return f"{effect} [{low}, {high}]" if low else effect
