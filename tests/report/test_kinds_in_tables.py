"""Tables group methods by kind: a line above each group in Markdown, and the kind below each name on the page."""

from __future__ import annotations

import dataclasses

import pytest

from bench.conformance.figure_cases import suite_results
from bench.core.kinds import KINDS
from bench.report.markup import latex_of, markdown_of, markdown_page
from bench.report.tables import distance_table, ordered_methods, task_tables
from bench.stats.comparisons import compare
from bench.stats.results import SuiteResults
from bench.stats.summary import summarise


def with_kinds(suite: SuiteResults, kinds: dict[str, str]) -> SuiteResults:
    """Return results whose runs say these kinds."""
    tasks = []
    for task in suite.tasks:
        runs = [
            dataclasses.replace(run, header=run.header | {"kind": kinds.get(run.method)})
            for run in task.runs
        ]
        tasks.append(dataclasses.replace(task, runs=tuple(runs)))
    return dataclasses.replace(suite, tasks=tuple(tasks))


@pytest.fixture(name="suite", scope="module")
def suite_of_four() -> SuiteResults:
    suite = suite_results(4, 1)
    return with_kinds(
        suite, dict(zip(suite.methods, ["SMC", "guidance", "magic", "guidance"], strict=True))
    )


def test_methods_are_grouped_by_kind_and_unknown_kinds_are_other(suite):
    first, second, third, fourth = suite.methods
    assert suite.kinds == {first: "SMC", second: "guidance", third: "other", fourth: "guidance"}
    assert ordered_methods(suite) == ("reference", second, fourth, first, third)


def test_markdown_has_a_line_above_each_kind(suite):
    (table,) = task_tables(suite, summarise(suite), compare(suite))
    names = [line.split("|")[1].strip() for line in markdown_of(table).splitlines()[2:]]
    first, second, third, fourth = (m.replace("_", r"\_") for m in suite.methods)
    plain = [name.replace(r"\_", "_").split(" (")[0] for name in names]
    expected = ["reference", "*guidance*", second, fourth, "*SMC*", first, "*other*", third]
    assert plain == [name.replace(r"\_", "_") for name in expected]


def test_the_table_of_distances_names_the_methods_of_each_kind(suite):
    table = distance_table(suite, summarise(suite), compare(suite))
    page = markdown_page("title", [table], []).replace(r"\_", "_")
    first, second, third, fourth = suite.methods
    assert f"Methods by kind: guidance: {second}, {fourth}; SMC: {first}; other: {third}." in page


def test_methods_of_one_kind_have_no_headings(suite):
    same = with_kinds(suite, dict.fromkeys(suite.methods, "guidance"))
    (table,) = task_tables(same, summarise(same), compare(same))
    assert table.kinds == {}
    assert not any(f"*{kind}*" in markdown_of(table) for kind in KINDS)
    assert "reference" in latex_of(table)
