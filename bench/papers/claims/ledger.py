"""The ledger: every claim of the four papers with its verdict, as tables and in the short form that pages quote."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.artefacts import Json, read_csv
from bench.core.layout import CLAIMS as CLAIMS_SUITE
from bench.core.layout import CLAIMS_TABLES, REFERENCE, Layout
from bench.core.specs import SuiteSpec
from bench.core.text import markdown, rounded
from bench.papers.claims import aps, cps, dps, ods
from bench.papers.claims.claim import RULE, UNTESTABLE, Entry, assess
from bench.papers.claims.evidence import Evidence
from bench.papers.published_tables import markdown_of
from bench.stats.results import SuiteResults

CLAIMS = (*cps.CLAIMS, *ods.CLAIMS, *aps.CLAIMS, *dps.CLAIMS)
TABLE, PAGE = CLAIMS_TABLES
PUBLISHED = REFERENCE / CLAIMS_SUITE  # the one place where verdicts are made
SHOWN = ("id", "claim", "source", "hypothesis", "test", "rows", "tasks", "effect", "verdict", "why")
QUOTED = ("id", "claim", "rows", "tasks", "effect", "verdict")
STORED = ("id", "claim", "source", "hypothesis", "test", "rows", "tasks", "margin", "side")
STORED += ("effect", "low", "high", "verdict", "why")


@dataclass(frozen=True)
class Verdicts:
    """The ledger as a page shows it.

    are_own: whether the page's own suite made the verdicts. suite, commit: those that made them; "" where no ledger is
    published. link: from the page to the whole ledger.
    """

    table: pd.DataFrame
    are_own: bool
    suite: str
    commit: str
    link: str


def ledger(suite: SuiteResults) -> list[Entry]:
    """Return an entry for every claim, in the order of CLAIMS."""
    evidence = Evidence(suite)
    return [assess(claim, evidence) for claim in CLAIMS]


def ledger_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return claims.csv: one row per claim, numbers as numbers."""
    rows = []
    for entry in entries:
        claim = entry.claim
        what = (claim.id, claim.says, claim.source, claim.hypothesis, claim.statistic)
        where = (", ".join(claim.rows), ", ".join(claim.tasks))
        margin = (claim.margin, claim.side) if claim.test else (None, None)
        result = (entry.effect, entry.low, entry.high, entry.verdict, entry.why)
        rows.append((*what, *where, *margin, *result))
    frame = pd.DataFrame(rows, columns=[*STORED])
    return frame.astype(dict.fromkeys(("margin", "effect", "low", "high"), float))


def ledger_table(frame: pd.DataFrame, columns: Sequence[str] = SHOWN) -> pd.DataFrame:
    """Return the ledger as a table of text, tested claims first."""
    table: Any = frame.assign(effect=[format_effect(row) for row in frame.itertuples()])
    tested_first = table.sort_values(
        "verdict", key=lambda verdict: verdict == UNTESTABLE, kind="stable"
    )
    return tested_first[[*columns]].fillna("").reset_index(drop=True)


def ledger_markdown(title: str, frame: pd.DataFrame) -> str:
    """Return the text of claims.md."""
    return f"# {markdown(title)}\n\n{markdown(RULE)}.\n\n{markdown_of(ledger_table(frame))}\n"


def format_effect(row: object) -> str:
    """Return `1.10 [1.02, 1.18]` for a row of the ledger; "" for a claim that was not tested."""
    effect, low, high = (float(getattr(row, name)) for name in ("effect", "low", "high"))
    if math.isnan(effect):
        return ""
    if not math.isfinite(high):
        return f"{effect:.3g} [{low:.3g}, {high:.3g}]"
    value, *ends = rounded(effect, low, high)
    return f"{value} [{', '.join(ends)}]"


def verdicts_of(root: Path, published: Path = PUBLISHED) -> Verdicts:
    """Return the verdicts for the page of the suite in `root`: all of its own if it tests claims, else published ones.

    Nothing is tested here. Published claims that could not be tested are left out.
    """
    layout = Layout(root)
    if SuiteSpec.read(layout.spec("suite")).claims:
        frame, info = read_ledger(layout.table(TABLE))
        return Verdicts(ledger_table(frame), True, info["suite"], commit_of(info), f"tables/{PAGE}")
    if not (published / TABLE).exists():
        return Verdicts(pd.DataFrame(columns=[*QUOTED]), False, "", "", "")
    frame, info = read_ledger(published / TABLE)
    of_tests: Any = frame[frame.verdict != UNTESTABLE]
    known = [column for column in QUOTED if column in frame]
    tested = ledger_table(of_tests, known)
    link = os.path.relpath(published / PAGE, root)
    return Verdicts(tested, False, info["suite"], commit_of(info), link)


def read_ledger(path: Path) -> tuple[pd.DataFrame, Json]:
    """Return claims.csv with its record; raise ArtefactError when it is missing or edited."""
    text, info = read_csv(path)
    return pd.read_csv(io.StringIO(text)), info


def commit_of(info: Json) -> str:
    """Return the commit that made a ledger."""
    return info.get("provenance", {}).get("commit", "unknown")
