"""Rows per sample with training, and a table at a stated budget: what is above it is marked and not compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.synthetic_results import TRAINING, write_results

from bench.core.results import DISTANCE
from bench.report.front.standings import front_of
from bench.report.page.charts import charts_of
from bench.report.tables import distance_table, task_tables
from bench.stats.comparisons import compare
from bench.stats.figure_results import FigureResults
from bench.stats.results import SuiteResults, load
from bench.stats.spending import above_budget, budget_notes, rows_per_sample, without
from bench.stats.summary import summarise


@pytest.fixture(name="suite", scope="module")
def suite_of_random_numbers(tmp_path_factory) -> SuiteResults:
    return load(write_results(tmp_path_factory.mktemp("suite")))


def rows_of(suite: SuiteResults, method: str) -> float:
    (run,) = (run for run in suite.tasks[0].runs if run.method == method)
    return rows_per_sample(run, suite.num_measurements * suite.num_samples)


def test_a_sample_costs_rows_both_ways_and_its_share_of_training(suite):
    assert rows_of(suite, "dps") == 400  # 200 steps
    samples = suite.num_measurements * suite.num_samples
    assert rows_of(suite, "aps") == 2 * TRAINING["aps"][1] / samples


def test_rows_above_a_budget_are_found_and_without_a_budget_there_are_none(suite):
    assert above_budget(suite, None) == {}
    above = above_budget(suite, 2000)
    assert set(above) == {"latent_langevin", "aps", "ods-single"} and above["ods-single"] == 6000


def test_a_row_above_the_budget_is_marked_and_never_bold(suite):
    stated = replace(suite, budget_rows=2000)
    table = distance_table(stated, summarise(stated), compare(stated))
    assert {name for name, goal in table.goals.items() if goal == "‡"} == {
        "latent_langevin",
        "aps",
        "ods-single",
    }
    assert not any(cell.tied for name in ("latent_langevin", "aps") for cell in table.frame[name])
    assert "at most 2000 rows" in table.header and "latent_langevin (24,000)" in table.header
    assert any(cell.tied for cell in table.frame["dps-n1000"])


def test_a_row_above_the_budget_is_not_bold_in_the_tables_of_tasks_either(suite):
    """Without a stated budget such a row is, on some task."""
    for budget, expected in ((None, True), (2000, False)):
        stated = replace(suite, budget_rows=budget)
        tables = task_tables(stated, summarise(stated), compare(stated))
        cells = [x for table in tables for x in table.frame.loc["latent_langevin"]]
        assert any(cell.tied for cell in cells) == expected
        assert any(cell.tied for table in tables for cell in table.frame.loc["dps"])


def test_a_row_above_the_budget_has_no_mean_rank_in_the_figure_nor_on_the_page(suite):
    """Without a stated budget all of them have one."""
    for budget, expected in ((None, True), (2000, False)):
        stated = replace(suite, budget_rows=budget)
        (ranking, *_) = FigureResults(stated).rankings((DISTANCE,))
        lines = summarise(stated)
        front = front_of(stated, lines, compare(stated))
        (chart,) = (x for x in charts_of(stated, lines, front) if x["id"] == "ranks")
        on_page = {series["m"] for series in chart["panels"][0]["series"]}
        assert {"dps"} < set(ranking.methods) == on_page
        assert ("latent_langevin" in on_page) == expected


def test_rows_within_a_budget_are_compared_among_themselves(suite):
    kept = without(suite, ["latent_langevin"], DISTANCE)
    lines = compare(kept)
    assert {line.metric for line in lines} == {DISTANCE}
    assert "latent_langevin" not in {line.best for line in lines}


def test_the_notes_state_the_budget_and_the_rows_above_it():
    assert budget_notes(None, {}) == ()
    assert len(budget_notes(400, {})) == 1
    assert budget_notes(400, {"aps": 1234.5})[1].endswith("never bold: aps (1,234)")
