"""Write the tables of a suite into its folder."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.artefacts import Json, write_csv
from bench.core.layout import VERDICT, Layout
from bench.core.papers import is_rehearsal
from bench.core.results import Summary
from bench.core.text import markdown
from bench.report.cost_table import cost_csv, cost_notes, cost_table
from bench.report.front.columns import headline_of
from bench.report.front.standings import front_of
from bench.report.front.verdict import verdict_of, words_of
from bench.report.markup import latex_page, markdown_page
from bench.report.notes import REHEARSED, absent_weights, notes
from bench.report.set_table import set_notes, set_table
from bench.report.tables import (
    at_budget,
    columns_of,
    distance_table,
    metrics_across,
    task_tables,
)
from bench.report.timing_table import timing_csv, timing_notes, timing_table
from bench.stats.comparisons import Comparison, compare, comparisons_csv
from bench.stats.results import SuiteResults
from bench.stats.summary import summarise, summary_csv


def write_tables(suite: SuiteResults, info: Json) -> None:
    """Write summary.csv, comparisons.csv, summary.md, summary.tex, distance.md and verdict.md into tables/.

    Writes sets.md where sets of samples are compared, and cost.csv and cost.md where seconds were taken. info: goes
    into the record beside each csv.
    """
    lines, comparisons = summarise(suite), compare(suite)
    tables = task_tables(suite, lines, comparisons)
    distances = distance_table(suite, lines, comparisons)
    marks = (f"{REHEARSED}.",) if is_rehearsal(suite.root) else ()
    below = (*marks, *notes(suite, columns_of(tables)), *absent_weights(lines))
    title = f"Suite {suite.name}"
    csvs = {"summary.csv": summary_csv(lines), "comparisons.csv": comparisons_csv(comparisons)}
    pages = {
        "summary.md": markdown_page(title, tables, below),
        "summary.tex": latex_page(tables, below),
        "distance.md": markdown_page(
            title,
            [distances],
            (*marks, *notes(suite, metrics_across(suite, lines), of_tasks=False)),
        ),
        VERDICT: "".join(f"- {mark}\n" for mark in marks) + _verdict(suite, lines, comparisons),
    }
    sets = set_table(suite, lines)
    if len(sets.frame):
        pages["sets.md"] = markdown_page(title, [sets], (*marks, *set_notes(suite, lines)))
    if suite.timings:
        csvs["cost.csv"] = cost_csv(suite)
        pages["cost.md"] = markdown_page(title, [cost_table(suite)], (*marks, *cost_notes(suite)))
    _write(Layout(suite.root), csvs, pages, info)


def _verdict(
    suite: SuiteResults, lines: Sequence[Summary], comparisons: Sequence[Comparison]
) -> str:
    """Return the first sentences of the page, a line for each: who is best, whether distances are right, what failed,
    who made it."""
    front = front_of(suite, lines, at_budget(suite, comparisons, headline_of(suite, lines))[2])
    verdict = verdict_of(suite, lines, front)
    texts = [words_of(x) for x in (verdict.best, verdict.distances, verdict.failures)]
    return "".join(f"- {markdown(text)}\n" for text in (*texts, f"{verdict.made}."))


def write_timing(layout: Layout, name: str, timings: list[Json], info: Json) -> None:
    """Write timing.csv and timing.md, the tables of a suite that only measures times, into tables/."""
    page = markdown_page(f"Suite {name}", [timing_table(timings)], timing_notes(timings))
    _write(layout, {"timing.csv": timing_csv(timings)}, {"timing.md": page}, info)


def _write(layout: Layout, csvs: dict[str, str], pages: dict[str, str], info: Json) -> None:
    """Write tables and pages; the record of the first table, which is written last, lists all others."""
    first, *others = csvs
    layout.table(first).unlink(missing_ok=True)
    for name in others:
        write_csv(layout.table(name), csvs[name], info)
    files = {name: text.encode() for name, text in (csvs | pages).items() if name != first}
    write_csv(layout.table(first), csvs[first], info, files)
