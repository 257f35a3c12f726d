"""Tables of a suite: `python -m bench.stages.tables results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_bytes, write_csv
from bench.core.provenance import provenance
from bench.report.cost_table import cost_csv, cost_notes, cost_table
from bench.report.markup import latex_page, markdown_page
from bench.report.set_table import set_notes, set_table
from bench.report.tables import columns_of, distance_table, notes, shown_across, task_tables
from bench.runtime.job import run
from bench.stats.comparisons import compare, comparisons_csv
from bench.stats.results import load
from bench.stats.summary import summarise, summary_csv


def main(spec_path: str) -> None:
    """Write tables/summary.csv, comparisons.csv, summary.md, summary.tex and distance.md; sets.md where sets are
    compared, cost.csv and cost.md where seconds were taken.
    """
    suite = load(spec_path)
    lines, comparisons = summarise(suite), compare(suite)
    tables, distance = task_tables(suite, lines, comparisons), distance_table(suite, lines, comparisons)
    columns = columns_of(tables)
    folder = suite.root / "tables"
    info = {"suite": suite.name, "provenance": provenance()}
    write_csv(folder / "summary.csv", summary_csv(lines), info)
    write_csv(folder / "comparisons.csv", comparisons_csv(comparisons), info)
    pages = {
        "summary.md": markdown_page(f"Suite {suite.name}", tables, notes(suite, columns)),
        "summary.tex": latex_page(tables, notes(suite, columns)),
        "distance.md": markdown_page(f"Suite {suite.name}", [distance], notes(suite, shown_across(lines))),
    }
    sets = set_table(suite, lines)
    if sets.rows:
        pages["sets.md"] = markdown_page(f"Suite {suite.name}", [sets], set_notes(suite, lines))
    if suite.timings:
        write_csv(folder / "cost.csv", cost_csv(suite), info)
        pages["cost.md"] = markdown_page(f"Suite {suite.name}", [cost_table(suite)], cost_notes(suite))
    for name, page in pages.items():
        write_bytes(folder / name, page.encode())


if __name__ == "__main__":
    run(main)
