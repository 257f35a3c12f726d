"""Tables show the faults of frozen chains, copied draws, biased, wide and collapsed samplers, none of exact ones."""

import pytest
from helpers.six_samplers import COPIES, S, write_task

from bench.core.results import REFERENCE
from bench.report.markup import markdown_page
from bench.report.tables import task_tables
from bench.stages import evaluate
from bench.stats.comparisons import compare
from bench.stats.results import load
from bench.stats.summary import summarise

UNBIASED = ("energy", "sw2sq-128", "sw2sq-128_white")


@pytest.fixture(name="suite", scope="module")
def suite_of_six(tmp_path_factory):
    spec = write_task(tmp_path_factory.mktemp("six"))
    evaluate.main(str(spec.with_name("evaluate") / "task.json"))
    return load(spec)


@pytest.fixture(name="lines", scope="module")
def lines_of_six(suite):
    return {(line.method, line.metric): line for line in summarise(suite)}


@pytest.mark.parametrize(
    "method", ["frozen-prior", "frozen-posterior", "trembling", "trembling-together"]
)
def test_a_chain_that_never_moves_is_worth_about_nothing(lines, method):
    assert 0 < lines[method, "worth_energy"].mean < 2
    assert 0 < lines[method, "worth_mean"].mean < 2
    assert lines[method, "ess_bulk"].mean is None
    assert lines[method, "ess_bulk"].reason == "n/a (chains have not mixed: they do not move)"


def test_chains_frozen_at_exact_draws_are_worth_their_number(lines):
    for metric in ("worth_energy", "worth_mean"):
        line = lines["frozen-chains", metric]
        assert line.low < COPIES < line.high
    assert lines["frozen-chains", "ess_bulk"].reason.startswith("n/a (chains have not mixed, R-hat")


def test_copied_draws_are_worth_their_originals(lines):
    for metric in ("worth_energy", "worth_mean"):
        line = lines["copied", metric]
        assert line.low < S / COPIES < line.high and line.high < S / 2


@pytest.mark.parametrize(("method", "num"), [("same-chains", S // COPIES), ("in-turn", 2)])
def test_chains_that_copy_each_other_or_themselves_are_worth_what_they_copy(lines, method, num):
    for metric in ("worth_energy", "worth_mean"):
        line = lines[method, metric]
        assert line.low < num < line.high and line.high < S / 2
    assert lines[method, "ess_bulk"].mean is None
    assert lines[method, "ess_bulk"].reason.startswith("n/a (chains have not mixed")


@pytest.mark.parametrize("method", ["biased", "wide", "collapsed"])
def test_bias_and_wrong_spread_are_worth_little(lines, method):
    assert lines[method, "worth_energy"].high < S / 4


def test_bias_is_worth_little_per_row_however_independent_the_samples(lines):
    assert lines["biased", "worth_mean"].high < 2
    per_row = {m: lines[m, "worth_per_nfe"].mean for m in ("oracle", "biased", "frozen-posterior")}
    assert per_row["biased"] < per_row["oracle"] / 10
    assert per_row["frozen-posterior"] < per_row["oracle"] / 10


@pytest.mark.parametrize("method", ["oracle", "independent", REFERENCE])
def test_exact_samples_are_worth_their_number_and_at_no_distance(lines, method):
    for metric in ("worth_energy", "worth_mean"):
        line = lines[method, metric]
        assert line.low < S < line.high, metric
    for metric in UNBIASED:
        line = lines[method, metric]
        assert line.low < 0 < line.high, metric


def test_independent_draws_in_the_layout_of_chains_have_mixed(lines):
    assert lines["independent", "ess_bulk"].reason == ""
    assert lines["independent", "ess_bulk"].mean == pytest.approx(S, rel=0.3)


def test_the_table_shows_worth_and_only_exact_samplers_are_best(suite, lines):
    (table,) = task_tables(suite, list(lines.values()), compare(suite))
    bold = {m for m in table.frame.index if table.frame.loc[m, "worth_energy"].tied}
    # oracle and reference do not compete
    assert bold == {"independent"}
    assert table.goals["worth_energy"] == "up"
    cell = table.frame.loc["copied", "diversity_ratio"]
    assert cell.remark.startswith("worth ") and cell.remark.endswith(" exact draws")


def test_the_pages_print_each_worth_as_it_was_computed(suite, lines):
    page = markdown_page("six", task_tables(suite, list(lines.values()), compare(suite)), ())
    head, *rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")]
    place = [cell.split()[0] for cell in head[1:]].index("worth_energy") + 1
    printed = {row[0].split()[0]: row[place].replace("*", "").split()[0] for row in rows}
    for method in (
        "frozen-prior",
        "frozen-posterior",
        "trembling",
        "copied",
        "biased",
        "wide",
        "collapsed",
    ):
        assert float(printed[method]) == pytest.approx(
            lines[method, "worth_energy"].mean, rel=0.05
        ), method
