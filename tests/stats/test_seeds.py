"""Spread over seeds, and suites in which rows have different numbers of seeds."""

import numpy as np
import pytest
from helpers.scored_suite import suite_of

from bench.core.results import Summary
from bench.report.markup import markdown_page
from bench.report.tables import distance_table, seeds_text, task_tables
from bench.stats.comparisons import compare
from bench.stats.seeds import seed_spreads
from bench.stats.summary import summarise


@pytest.fixture
def suite():
    """A trained row with three seeds, and one with a single seed."""
    rng = np.random.default_rng(0)
    trained = rng.normal(size=(16, 1)) + np.array([[0.0, 0.3, 0.6]])
    values = {("t", "trained", "m"): trained, ("t", "plain", "m"): trained[:, :1] + 2}
    suite = suite_of(values, {"m": "lower"})
    return suite_of_seeds(suite, {"plain": (0,)})


def suite_of_seeds(suite, training_seeds):
    import dataclasses

    return dataclasses.replace(suite, seeds=(0, 1, 2), training_seeds=training_seeds)


def test_the_spread_is_that_of_the_means_of_each_seed(suite):
    spreads = seed_spreads(suite.tasks[0], suite)
    assert spreads == {("trained", "m"): pytest.approx(0.3)}


def test_a_row_with_one_seed_is_compared_with_a_row_with_three(suite):
    means = {(x.method, x.metric): x.mean for x in summarise(suite)}
    assert means["plain", "m"] is not None and means["trained", "m"] is not None
    lines = {line.method: line for line in compare(suite)}
    assert lines["trained"].best == "trained" and lines["plain"].tied is False
    assert lines["plain"].difference == pytest.approx(2 - 0.3)


def test_leading_columns_show_it_behind_the_mean():
    line = Summary("t", "ods", "energy", 0.1, 0.05, 0.15, 0, "")
    assert seeds_text(line, {("ods", "energy"): 0.01234}) == "seeds 0.012"
    assert seeds_text(line, {}) == ""


def test_tables_print_the_spread_over_seeds_beside_the_interval():
    rng = np.random.default_rng(0)
    trained = 2 + rng.normal(size=(16, 1)) + np.array([[0.0, 0.3, 0.6]])
    values = {("t", "ods", "energy"): trained, ("t", "dps", "energy"): trained[:, :1] + 2}
    suite = suite_of_seeds(suite_of(values, {"energy": "lower"}), {"dps": (0,)})
    lines, comparisons = summarise(suite), compare(suite)
    (table,), distances = (
        task_tables(suite, lines, comparisons),
        distance_table(suite, lines, comparisons),
    )
    for ods, dps in (
        (table.frame.loc["ods", "energy"], table.frame.loc["dps", "energy"]),
        (distances.frame.loc["t", "ods"], distances.frame.loc["t", "dps"]),
    ):
        assert ods.remark == "seeds 0.3" and ods.low and ods.high and not dps.remark
    page = markdown_page("seeds", [distances], ())
    assert f"{distances.frame.loc['t', 'ods'].high}] (seeds 0.3)" in page


def test_the_spread_of_worth_is_in_its_own_unit(suite):
    import dataclasses

    (task,) = suite.tasks
    worth = np.array([10.0, 12.0, 14.0])
    scores = tuple(
        score._replace(value=float(worth[score.seed]))
        for score in task.scores
        if score.method == "trained"
    )
    harmonic = dataclasses.replace(task, scores=scores, harmonic=frozenset({"m"}))
    spreads = seed_spreads(harmonic, dataclasses.replace(suite, tasks=(harmonic,)))
    assert spreads["trained", "m"] == pytest.approx(2.0)
