"""The report of a suite: `python -m bench.stages.report results/<suite>/specs/suite.json`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.artefacts import write_bytes
from bench.core.results import Summary
from bench.papers.beside import beside
from bench.papers.claims.entries import ledger
from bench.papers.claims.ledger import ledger_words
from bench.papers.protocols import verdicts_on
from bench.papers.published import read_numbers, read_papers
from bench.report.cost_table import cost_notes, cost_table
from bench.report.page.render import page
from bench.report.set_table import set_notes, set_table
from bench.report.tables import Table, columns_of, definitions, distance_table, made_by, notes, task_tables
from bench.runtime.job import run
from bench.stats.comparisons import compare
from bench.stats.results import SuiteResults, load
from bench.stats.summary import summarise


def main(spec_path: str) -> None:
    """Write report.html, with the figures of figures/ inside."""
    suite = load(spec_path)
    lines, comparisons = summarise(suite), compare(suite)
    tables = task_tables(suite, lines, comparisons)
    overview, beneath = distance_table(suite, lines, comparisons), notes(suite, columns_of(tables))
    published = beside(read_papers(), verdicts_on(read_numbers(), suite, lines))
    claims = ledger_words(ledger(suite))
    html = page(suite, overview, tables, _others(suite, lines), claims, published, beneath, definitions(suite))
    write_bytes(suite.root / "report.html", html.encode())


def _others(suite: SuiteResults, lines: Sequence[Summary]) -> dict[str, tuple[Table, tuple[str, ...]]]:
    """Of sets of samples, and of seconds, where the suite has them; who made them stands elsewhere on the page."""
    sets, made = set_table(suite, lines), made_by(suite.origins)
    found = {"sets": (sets, set_notes(suite, lines))} if sets.rows else {}
    found |= {"seconds": (cost_table(suite), cost_notes(suite))} if suite.timings else {}
    return {id: (table, tuple(x for x in words if x not in made)) for id, (table, words) in found.items()}


if __name__ == "__main__":
    run(main)
