"""The ledger of a suite: every claim of the four papers, judged."""

from __future__ import annotations

from bench.papers.claims import aps, cps, dps, ods
from bench.papers.claims.evidence import Evidence
from bench.papers.claims.ledger import Entry, judged
from bench.stats.results import SuiteResults

CLAIMS = (*cps.CLAIMS, *ods.CLAIMS, *aps.CLAIMS, *dps.CLAIMS)


def ledger(suite: SuiteResults) -> list[Entry]:
    evidence = Evidence(suite)
    return [judged(claim, evidence) for claim in CLAIMS]
