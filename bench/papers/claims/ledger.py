"""The ledger of a suite: every claim of the four papers with its verdict, as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.core.text import markdown, rounded
from bench.papers.claims import aps, cps, dps, ods
from bench.papers.claims.claim import RULE, UNTESTABLE, Entry, assess
from bench.papers.claims.evidence import Evidence
from bench.papers.published_tables import markdown_of
from bench.stats.results import SuiteResults

CLAIMS = (*cps.CLAIMS, *ods.CLAIMS, *aps.CLAIMS, *dps.CLAIMS)
SHOWN = ("claim", "source", "hypothesis", "test", "effect", "verdict", "why")
STORED = (
    "id",
    "claim",
    "source",
    "hypothesis",
    "test",
    "margin",
    "side",
    "effect",
    "low",
    "high",
    "verdict",
    "why",
)


def ledger(suite: SuiteResults) -> list[Entry]:
    """Return an entry for every claim, in the order of CLAIMS."""
    evidence = Evidence(suite)
    return [assess(claim, evidence) for claim in CLAIMS]


def ledger_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return claims.csv: one row per claim, numbers as numbers."""
    rows = []
    for entry in entries:
        claim = entry.claim
        margin = (claim.margin, claim.side) if claim.test else (None, None)
        result = (entry.effect, entry.low, entry.high, entry.verdict, entry.why)
        rows.append(
            (
                claim.id,
                claim.says,
                claim.source,
                claim.hypothesis,
                claim.statistic,
                *margin,
                *result,
            )
        )
    return pd.DataFrame(rows, columns=[*STORED])


def ledger_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return the ledger as a table of text, tested claims first."""
    rows = []
    for entry in sorted(entries, key=lambda entry: entry.verdict == UNTESTABLE):
        claim = entry.claim
        tested = (claim.hypothesis, claim.statistic, format_effect(entry))
        rows.append((claim.says, claim.source, *tested, entry.verdict, entry.why))
    return pd.DataFrame(rows, columns=[*SHOWN])


def ledger_markdown(title: str, entries: Sequence[Entry]) -> str:
    """Return the text of claims.md."""
    return f"# {markdown(title)}\n\n{markdown(RULE)}.\n\n{markdown_of(ledger_table(entries))}\n"


def format_effect(entry: Entry) -> str:
    """Return `1.10 [1.02, 1.18]`; nothing where nothing was tested."""
    if entry.effect is None:
        return ""
    if not math.isfinite(entry.high or 0):
        return f"{entry.effect:.3g} [{entry.low:.3g}, {entry.high:.3g}]"
    effect, low, high = rounded(entry.effect, entry.low, entry.high)
    return f"{effect} [{low}, {high}]" if low else effect
