"""The first table and the sentences above it: methods tied for best, whether metrics hold up, and what failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.other_suites import write_without_reference
from helpers.synthetic_results import FAILURE, METHODS, TASKS, write_results

from bench.core.artefacts import write_json
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.results import Summary
from bench.report.front import verdict
from bench.report.front.columns import OVER_FLOOR, headline_of
from bench.report.front.references import EXACT, NONE, PARTICLES, reference_mode
from bench.report.front.standings import front_of, share_of_way, variants
from bench.report.front.verdict import verdict_of, words_of
from bench.report.tables import distance_table, task_tables
from bench.stats.comparisons import compare
from bench.stats.examinations import failed_examinations
from bench.stats.results import SuiteResults, load
from bench.stats.summary import summarise


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> SuiteResults:
    return load(write_results(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def lines(suite) -> list[Summary]:
    return summarise(suite)


@pytest.fixture(scope="module")
def comparisons(suite):
    return compare(suite)


@pytest.fixture(scope="module")
def unjudged(tmp_path_factory) -> SuiteResults:
    return load(write_without_reference(tmp_path_factory.mktemp("unjudged")))


def test_the_way_from_floor_to_ceiling_is_a_share(suite):
    task = suite.tasks[0]
    means = {"reference": 0.1, "unconditional": 2.1, "dps": 0.6, "oracle": 0.1}
    known = {
        (task.name, m, "energy"): Summary(task.name, m, "energy", mean, mean, mean, 0, "")
        for m, mean in means.items()
    }
    shares = {m: share_of_way(task, m, "energy", known) for m in (*means, "aps")}
    assert shares == {
        "reference": 0.0,
        "unconditional": 1.0,
        "dps": pytest.approx(0.25),
        "oracle": 0.0,
        "aps": None,
    }


def test_every_method_that_ran_has_a_row_with_its_number_of_tasks(suite, lines, comparisons):
    front = front_of(suite, lines, comparisons)
    rows = {row.method: row for row in front.rows}
    assert set(rows) == {"reference", *METHODS}
    assert [front.rows[0].method, front.rows[1].method] == ["reference", "oracle"]
    assert front.rows[-1].method == "unconditional"
    assert (rows["dps-n1000"].done, rows["dps-n1000"].failed) == (3, 1)
    assert (rows["ods-single"].done, rows["ods-single"].tried) == (2, 2)
    assert rows["latent_langevin"].done == 3  # n/a where there is no decoder
    over = [front.number(row, OVER_FLOOR).value for row in front.methods]
    known = [value for value in over if value is not None]
    assert known == sorted(known)


def test_methods_that_saw_another_prior_are_in_no_average_there(suite, lines, comparisons):
    front = front_of(suite, lines, comparisons)
    (dps,) = [row for row in front.rows if row.method == "dps"]
    assert "gmm_map-denoise" in dps.remark and dps.compared == 3


def test_rows_of_a_plugin_are_variants_of_the_row_with_its_name(suite):
    modules = {"dps": "dps", "dps-n1000": "dps", "aps": "aps", "ods-single": "ods"}
    tasks = tuple(
        replace(
            task,
            runs=tuple(
                replace(run, header={**run.header, "module": modules.get(run.method, run.method)})
                for run in task.runs
            ),
        )
        for task in suite.tasks
    )
    # there is no row ods whose variant ods-single could be
    assert variants(replace(suite, tasks=tasks)) == {"dps-n1000": "dps"}


def test_sentences_name_the_best_the_floor_and_the_failures(suite, lines, comparisons):
    verdict = verdict_of(suite, lines, front_of(suite, lines, comparisons))
    best = verdict.plain_best
    assert "ied for best" in best and "over the floor" in best
    assert verdict.distances_state == "good" and "oracle" in words_of(verdict.distances)
    assert "at the floor on 4 of 4 tasks" in words_of(verdict.distances)
    failures = words_of(verdict.failures)
    assert verdict.failures_state == "bad"
    assert failures.startswith("1 of 26 runs failed: dps-n1000 on gmm-phase")
    assert FAILURE[:40] in failures and "1 not applicable" in failures
    assert "0123456789ab" in verdict.made and "sampling" in verdict.made


def test_the_first_sentence_says_which_row_is_a_variant(suite, lines, comparisons):
    front = front_of(suite, lines, comparisons)
    rows = [
        replace(row, variant_of="dps" if row.method == "dps-n1000" else "", tied=row.compared)
        for row in front.rows
    ]
    best = verdict_of(suite, lines, replace(front, rows=tuple(rows))).plain_best
    assert "dps-n1000 (a variant of dps, " in best and best.count("a variant of") == 1


def test_an_exact_sampler_off_the_floor_is_said(suite, lines, comparisons):
    moved = [
        replace(x, mean=9.0, low=8.0, high=10.0)
        if (x.task, x.method, x.metric) == ("gmm-phase", "oracle", "energy")
        else x
        for x in lines
    ]
    verdict = verdict_of(suite, moved, front_of(suite, moved, comparisons))
    assert verdict.distances_state == "bad" and "not at the floor on gmm-phase" in words_of(
        verdict.distances
    )


def test_a_reference_that_failed_is_a_failure_and_no_choice(suite, lines, comparisons):
    task = suite.tasks[0]
    failed = {**task.reference, "kind": "none", "reasons": ["failed (killed by signal 9)"] * 16}
    other = replace(suite, tasks=(replace(task, reference=failed), *suite.tasks[1:]))
    verdict = verdict_of(other, lines, front_of(other, lines, comparisons))
    words = f"reference draws of {task.name}: failed (killed by signal 9)"
    assert words in words_of(verdict.failures) and verdict.failures_state == "bad"


def test_the_kind_of_the_posterior_decides_the_mode(suite, unjudged):
    modes = {task.name: reference_mode(task) for task in suite.tasks}
    assert modes == dict.fromkeys(TASKS, EXACT) | {"gmm_map-denoise": PARTICLES}
    assert {reference_mode(task) for task in unjudged.tasks} == {NONE}


def test_without_reference_fidelity_leads_and_no_posterior_is_named(unjudged):
    lines, comparisons = summarise(unjudged), compare(unjudged)
    assert headline_of(unjudged, lines) == "psnr_mean"
    front = front_of(unjudged, lines, comparisons)
    ids = [column.id for column in front.columns]
    assert ids[:2] == ["psnr_mean", "chi2_sample"] and OVER_FLOOR not in ids
    assert "reference" not in {row.method for row in front.rows}
    verdict = verdict_of(unjudged, lines, front)
    texts = [verdict.plain_best, words_of(verdict.distances)]
    for table in (
        *task_tables(unjudged, lines, comparisons),
        distance_table(unjudged, lines, comparisons),
    ):
        assert "reference" not in table.frame.index and "reference" not in table.frame.columns
        texts += [table.title, table.header]
        if not table.methods_across:
            assert table.frame.columns[0] == "psnr_mean" and "energy" not in table.frame.columns
    assert not [text for text in texts if "exact posterior" in text.lower()]


def test_a_suite_chooses_headline_and_columns(suite, lines, comparisons):
    chosen = replace(suite, headline="chi2_sample", columns=("psnr_mean", "network_calls"))
    front = front_of(chosen, lines, comparisons)
    assert [c.id for c in front.columns] == [
        "chi2_sample",
        "psnr_mean",
        "network_calls",
        "tasks_done",
    ]
    for table in task_tables(chosen, lines, comparisons):
        assert list(table.frame.columns) == ["chi2_sample", "psnr_mean"]
    assert distance_table(chosen, lines, comparisons).title.startswith("Data misfit")


def test_a_column_of_sets_needs_no_number_of_samples(suite, lines):
    known = [
        *lines,
        replace(lines[0], metric="kid-own-n8"),
        replace(lines[0], metric="kid-own-n8_low"),
    ]
    assert headline_of(replace(suite, headline="kid-own"), known) == "kid-own-n8"


def test_the_headline_is_the_first_column_of_each_task(suite, lines, comparisons):
    assert {t.frame.columns[0] for t in task_tables(suite, lines, comparisons)} == {"energy"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"headline": "psnr_men"}, "metrics.headline: .* psnr_men; did you mean psnr_mean?"),
        ({"columns": ("energi",)}, "metrics.columns: .* energi; did you mean energy?"),
    ],
)
def test_columns_that_are_not_there_are_named(suite, lines, fields, words):
    with pytest.raises(UserError, match=words):
        headline_of(replace(suite, **fields), lines)


@pytest.mark.parametrize(
    ("named", "there"),
    [
        ("lpips-alex-v0.1@[-1,1]_mean", "lpips-alex-v0.1-unverified-1a2b3c4d@[-1,1]_mean"),
        ("kid-inception-v3-compat", "kid-inception-v3-compat-unverified-1a2b3c4d-n8"),
        ("kid-inception-v3-compat-n8", "kid-inception-v3-compat-unverified-1a2b3c4d-n8"),
    ],
)
def test_a_column_of_other_weights_stands_for_the_one_that_a_suite_names(
    suite, lines, named, there
):
    more = [*lines, replace(lines[0], metric=there)]
    assert headline_of(replace(suite, headline=named, columns=(named,)), more) == there


def test_a_ratio_that_diverges_on_one_task_does_not_decide_its_average(suite, lines, comparisons):
    """Exact draws read 1, and one task of a posterior that is nearly one image moves the median by one place."""
    ratios = dict(zip((task.name for task in suite.tasks), (0.5, 1.25, 0.8, 3e34), strict=False))
    shown = [
        replace(x, mean=ratios.get(x.task, 1.0))
        if (x.method, x.metric) == ("dps", "diversity_ratio") and x.mean is not None
        else x
        for x in lines
    ]
    front = front_of(suite, shown, comparisons)
    ranked = {task.name for task in suite.tasks if "dps" not in task.unranked}
    of_dps = (x for x in shown if (x.method, x.metric) == ("dps", "diversity_ratio"))
    known = sorted(x.mean for x in of_dps if x.mean and x.task in ranked)
    middle = known[(len(known) - 1) // 2], known[len(known) // 2]
    (row,) = (row for row in front.rows if row.method == "dps")
    value = front.number(row, "diversity_ratio").value
    assert value == pytest.approx((middle[0] * middle[1]) ** 0.5)
    assert 0.5 <= value <= 1.25
    (column,) = (column for column in front.columns if column.id == "diversity_ratio")
    assert "median over tasks" in column.about


def test_a_suite_that_cannot_be_tested_names_a_best_mean_and_no_best(suite, lines, comparisons):
    """Too few measurements for a test, or no task on which two methods ran: neither sentence contradicts itself."""
    untested = [replace(x, tied=None) for x in comparisons]
    front = front_of(suite, lines, untested)
    best = verdict_of(suite, lines, front).plain_best
    assert best.startswith("There are too few measurements") and "No methods" not in best
    assert "which may be chance" in best
    apart = tuple(
        replace(task, runs=tuple(run for run in task.runs if run.method == method))
        for task, method in zip(suite.tasks, ("dps", "aps", "dps", "aps"), strict=True)
    )
    others = replace(suite, tasks=apart)
    best = verdict_of(others, lines, front).plain_best
    assert best == "No methods can be compared: there is no task on which two of them ran."


def test_a_checkpoint_that_failed_its_examination_is_among_what_failed(suite, lines, tmp_path):
    """The card of a prior, or of its teacher, names facts that do not hold; a rehearsal's networks are random."""
    layout = Layout(tmp_path / "net")
    fact = {"value": 1.5, "limit": 1.0, "holds": False}
    known = {"mean at the highest level": fact, "noise": {**fact, "holds": True}}
    card = {"teacher": "net", "teacher_family": "edm"}
    write_json(layout.prior("map", "regression_map").with_name("card.json"), card)
    write_json(layout.prior("net", "edm").with_name("card.json"), {"examination": known})
    headers = [{"prior": "map", "family": "regression_map"}, {"prior": "gone", "family": "gmm"}]
    failed = failed_examinations(layout, headers)
    path = layout.prior("net", "edm")
    assert failed == {path: ("mean at the highest level is 1.5, at most 1 expected",)}
    words, state = verdict._failures(replace(suite, examinations=failed))
    text = words_of(words)
    assert state == "bad" and "the checkpoint of prior net failed its examination (mean" in text
    assert f"posterior-bench weights examine {path}" in text
    assert not failed_examinations(Layout(tmp_path / "net-rehearsal"), headers)
