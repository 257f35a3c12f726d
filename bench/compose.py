"""The report of a suite: `python -m bench.compose results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.artefacts import write_bytes
from bench.cli import run
from bench.report.beside import beside
from bench.report.comparisons import compare
from bench.report.page.render import page
from bench.report.protocols import verdicts_on
from bench.report.published import read_numbers, read_papers
from bench.report.results import load
from bench.report.statistics import summarise
from bench.report.tables import columns_of, definitions, distance_table, notes, task_tables


def main(spec_path: str) -> None:
    """Write report.html, with the figures of figures/ inside."""
    suite = load(spec_path)
    lines, comparisons = summarise(suite), compare(suite)
    tables = task_tables(suite, lines, comparisons)
    overview, beneath = distance_table(suite, lines, comparisons), notes(suite, columns_of(tables))
    published = beside(read_papers(), verdicts_on(read_numbers(), suite, lines))
    html = page(suite, overview, tables, published, beneath, definitions(suite))
    write_bytes(suite.root / "report.html", html.encode())


if __name__ == "__main__":
    run(main)
