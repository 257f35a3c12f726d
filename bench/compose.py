"""The report of a suite: `python -m bench.compose results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.artefacts import write_bytes
from bench.cli import run
from bench.report.page import page
from bench.report.comparisons import compare
from bench.report.results import load
from bench.report.statistics import summarise
from bench.report.tables import columns_of, definitions, distance_table, notes, task_tables


def main(spec_path: str) -> None:
    """Write report.html, with the figures of figures/ inside."""
    suite = load(spec_path)
    lines, comparisons = summarise(suite), compare(suite)
    tables = task_tables(suite, lines, comparisons)
    distance = distance_table(suite, lines, comparisons)
    html = page(suite, distance, tables, notes(suite, columns_of(tables)), definitions(suite))
    write_bytes(suite.root / "report.html", html.encode())


if __name__ == "__main__":
    run(main)
