"""Collect what the page shows from a suite's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.core.artefacts import Json
from bench.core.papers import paper_of
from bench.core.results import Summary
from bench.papers.claims.ledger import Verdicts, verdicts_of
from bench.papers.matching import match_numbers
from bench.papers.published import read_numbers, read_papers
from bench.papers.published_tables import PublishedTables, published_tables
from bench.papers.side_by_side import side_by_side
from bench.report.cost_table import cost_notes, cost_table
from bench.report.front.columns import headline_of
from bench.report.front.standings import Front, front_of
from bench.report.front.verdict import Verdict, verdict_of
from bench.report.notes import absent_weights, definitions, notes
from bench.report.origins import made_by
from bench.report.page.charts import charts_of
from bench.report.page.heat import HeatMap, heat_map
from bench.report.reproduction_page import Reproduction
from bench.report.set_table import set_notes, set_table
from bench.report.table import Table
from bench.report.tables import at_budget, columns_of, distance_table, task_tables
from bench.stats.comparisons import compare, tied
from bench.stats.results import SuiteResults
from bench.stats.summary import summarise


@dataclass(frozen=True)
class Section:
    """A table of all tasks together with its own notes; `id` is its place in the page."""

    id: str
    table: Table
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PaperBeside:
    """The numbers of the paper that a suite follows beside ours, and what it does not say, by place in its file."""

    frame: pd.DataFrame
    unknown: dict[str, str]


@dataclass(frozen=True)
class Content:
    """All tables and texts of the page.

    front, verdict, heat: what the summary says. charts: as charts.js reads them. overview: headline of all tasks.
    tables: one per task. sections: tables beside these. published: numbers of the papers beside ours; beside: those of
    the paper that the suite follows, row by row, where it follows one. claims: verdicts on the papers' claims.
    reproduced: the comparison with what was published, or why there is none. definitions: what each metric and cost
    means.
    """

    suite: SuiteResults
    lines: tuple[Summary, ...]
    front: Front
    verdict: Verdict
    heat: HeatMap
    charts: tuple[Json, ...]
    overview: Table
    tables: tuple[Table, ...]
    sections: tuple[Section, ...]
    claims: Verdicts
    published: PublishedTables
    beside: PaperBeside | None
    reproduced: Reproduction | str
    notes: tuple[str, ...]
    definitions: dict[str, str]


def collect(suite: SuiteResults, reproduced: Reproduction | str = "") -> Content:
    """Return the content of the page. reproduced: the comparison with published results, or why there is none."""
    lines, comparisons, numbers = summarise(suite), compare(suite), read_numbers()
    paper = paper_of(suite.root)
    tables = task_tables(suite, lines, comparisons)
    overview = distance_table(suite, lines, comparisons)
    compared = at_budget(suite, comparisons, headline_of(suite, lines))[2]
    front = front_of(suite, lines, compared)
    return Content(
        suite,
        tuple(lines),
        front,
        verdict_of(suite, lines, front),
        heat_map(suite, lines, front, tied(compared)),
        tuple(charts_of(suite, lines, front)),
        overview,
        tables,
        tuple(_sections(suite, lines)),
        verdicts_of(suite.root),
        published_tables(read_papers(), match_numbers(numbers, suite, lines)),
        PaperBeside(side_by_side(numbers, paper, lines), paper.unknown) if paper else None,
        reproduced,
        (*notes(suite, columns_of(tables)), *absent_weights(lines)),
        definitions(suite),
    )


def _sections(suite: SuiteResults, lines: Sequence[Summary]) -> list[Section]:
    """Return the tables of sets of samples and of seconds, where the suite has them."""
    made = made_by(suite.origins)  # shown once on the page, with the definitions
    sets = set_table(suite, lines)
    tables = [("sets", sets, set_notes(suite, lines))] if len(sets.frame) else []
    tables += [("seconds", cost_table(suite), cost_notes(suite))] if suite.timings else []
    return [
        Section(id, table, tuple(x for x in below if x not in made)) for id, table, below in tables
    ]
