"""The summary of a synthetic suite: every cell has a number or a reason."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from helpers.synthetic_results import (
    FAILURE,
    LEFT_OUT,
    METHODS,
    NUM_MEASUREMENTS,
    NUM_SAMPLES,
    TASKS,
    WORTH,
    edit_metrics,
    summary_of,
)

from bench.core.artefacts import (
    ArtefactError,
    read_csv,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)
from bench.report.tables import task_tables
from bench.stages import tables as tables_stage
from bench.stats.results import format_reason, load
from bench.stats.summary import summarise

POINT = "n/a (the posterior is nearly one image)"
NO_REFERENCE = "n/a (reference not admitted: two runs differ)"
SOME = "over 12 of 16 measurements"


def test_every_task_method_and_metric_has_a_number_or_a_reason(finished):
    summary = summary_of(finished)
    metrics = {metric for _, _, metric in summary}
    assert {"sw2-128", "rhat", "nfe", "seconds_per_sample", "train_seconds", "train_nfe"} <= metrics
    assert len(summary) == len(TASKS) * (len(METHODS) + 1) * len(metrics)
    for row in summary.values():
        assert row["mean"] or row["reason"].startswith(("n/a (", "failed (")), row
        if row["mean"]:
            assert float(row["low"]) <= float(row["mean"]) <= float(row["high"]), row


def test_mean_is_over_measurements(finished):
    rows = csv.DictReader(
        io.StringIO(read_csv(finished.parents[1] / "tasks" / "gmm-phase" / "metrics.csv")[0])
    )
    values = [
        float(row["value"]) for row in rows if (row["method"], row["metric"]) == ("dps", "energy")
    ]
    assert len(values) == NUM_MEASUREMENTS
    assert float(summary_of(finished)["gmm-phase", "dps", "energy"]["mean"]) == pytest.approx(
        np.mean(values), rel=1e-5
    )


def test_whole_failures_and_unmet_needs_keep_their_words(finished):
    summary = summary_of(finished)
    failed, unmet = (
        summary["gmm-phase", "dps-n1000", "energy"],
        summary["atoms-sr4", "latent_langevin", "nfe"],
    )
    assert (failed["mean"], failed["num_failed"], failed["reason"]) == (
        "",
        str(NUM_MEASUREMENTS),
        FAILURE,
    )
    assert (unmet["mean"], unmet["num_failed"], unmet["reason"]) == ("", "0", "n/a (needs DECODER)")


def test_pairs_left_out_by_the_suite_have_rows_that_say_so(finished):
    rows = [
        row for (task, method, _), row in summary_of(finished).items() if (task, method) in LEFT_OUT
    ]
    assert len(rows) == 2 * len({metric for _, _, metric in summary_of(finished)})
    cells = {(row["mean"], row["num_failed"], row["reason"]) for row in rows}
    assert cells == {("", "0", "n/a (left out by the suite)")}


def test_a_restricted_run_counts_its_measurements_and_its_cost(finished):
    summary = summary_of(finished)
    actual = summary["gmm-inpaint-box", "ods-single", "energy"]
    assert actual["num_failed"] == "0" and actual["mean"]
    assert actual["reason"] == "over 3 of 16 measurements: n/a (only the first 3 measurements)"
    seconds = 0.01 + 0.02 * 3000  # of the job, for 3 measurements
    cost = float(summary["gmm-inpaint-box", "ods-single", "seconds_per_sample"]["mean"])
    assert cost == pytest.approx(seconds / (3 * NUM_SAMPLES), rel=1e-5)


def test_a_restricted_run_that_fails_has_failed_on_its_measurements_only(fresh):
    def edit(row):
        if row["method"] != "dps":
            return row["value"], row["reason"]
        return "", "failed (no)" if row["observation"] in (
            "0",
            "1",
        ) else "n/a (only the first 2 measurements)"

    edit_metrics(fresh, edit)
    actual = {(x.task, x.method, x.metric): x for x in summarise(load(fresh))}[
        "gmm-phase", "dps", "energy"
    ]
    assert (actual.mean, actual.num_failed, actual.reason) == (None, 2, "failed (no)")


def test_suites_without_a_list_leave_nothing_out(fresh):
    spec = read_json(fresh)
    write_json(fresh, {key: value for key, value in spec.items() if key != "left_out"})
    with pytest.raises(
        ArtefactError, match="gmm-phase/ods-single/seed0/samples.safetensors: is missing"
    ):
        load(fresh)


def test_worth_per_second_and_per_row(finished):
    actual = {key: row["mean"] and float(row["mean"]) for key, row in summary_of(finished).items()}
    # the harmonic mean of a chain's worth; equally many measurements have either
    worth = 2 / sum(1 / value for value in WORTH)
    of_chain = {
        name: actual["gmm-phase", "latent_langevin", name]
        for name in ("worth_energy", "seconds_per_sample", "worth_per_second", "worth_per_nfe")
    }
    seconds, rows = of_chain["seconds_per_sample"] * NUM_SAMPLES, 2 * 12000 * NUM_SAMPLES
    # summary.csv keeps six digits
    assert of_chain["worth_energy"] == pytest.approx(worth, rel=1e-5)
    assert of_chain["worth_per_second"] == pytest.approx(worth / seconds, rel=1e-4)
    assert of_chain["worth_per_nfe"] == pytest.approx(worth / rows, rel=1e-4)
    # independent samples do not count one each: 200 forward and 200 backward for a biased one
    dps = actual["gmm-phase", "dps", "worth_energy"]
    assert actual["gmm-phase", "dps", "worth_per_nfe"] == pytest.approx(
        dps / (400 * NUM_SAMPLES), rel=1e-4
    )
    some = {
        name: actual["gmm-inpaint-box", "ods-single", name]
        for name in ("worth_energy", "seconds_per_sample", "worth_per_second")
    }
    assert some["worth_per_second"] == pytest.approx(
        some["worth_energy"] / (some["seconds_per_sample"] * NUM_SAMPLES), rel=1e-4
    )


def test_why_there_is_no_worth_per_second(finished):
    reasons = {key: row["reason"] for key, row in summary_of(finished).items()}
    assert reasons["gmm-phase", "oracle", "worth_per_second"] == ""
    assert reasons["gmm-phase", "unconditional", "worth_per_nfe"] == "n/a (no network rows)"
    assert reasons["gmm-phase", "dps-n1000", "worth_per_second"] == FAILURE
    assert reasons["atoms-sr4", "latent_langevin", "worth_per_nfe"] == "n/a (needs DECODER)"


@pytest.mark.parametrize(
    ("which", "reason", "mean", "said", "remark"),
    [
        (
            "1 3 5 7",
            POINT,
            12 / (8 / 5 + 4 / 7),
            f"{SOME}: {POINT}",
            f"worth 5.53 exact draws, {SOME}",
        ),
        ("all", NO_REFERENCE, None, NO_REFERENCE, ""),
        ("0", "failed (2 of 24 samples not finite)", None, "failed (1 of 16 measurements", ""),
    ],
)
def test_samples_of_unknown_worth_say_so(fresh, which, reason, mean, said, remark):
    def edit(row):
        is_hit = which == "all" or row["observation"] in which.split()
        if (row["method"], row["metric"]) == ("latent_langevin", "worth_energy") and is_hit:
            return "", reason
        return row["value"], row["reason"]

    edit_metrics(fresh, edit)
    suite = load(fresh)
    lines = summarise(suite)
    actual = {(x.method, x.metric): x for x in lines if x.task == "gmm-phase"}[
        "latent_langevin", "worth_per_nfe"
    ]
    # 8 measurements are worth 5, the 4 odd ones left 7
    expected = None if mean is None else pytest.approx(mean / (24000 * NUM_SAMPLES))
    assert actual.mean == expected and actual.reason.startswith(said)
    table = next(x for x in task_tables(suite, lines, ()) if x.title == "gmm-phase")
    assert table.frame.loc["latent_langevin", "diversity_ratio"].remark == remark


def test_a_failed_measurement_leaves_no_mean_over_survivors(fresh):
    def edit(row):
        broken = row["method"] == "dps" and row["observation"] in ("2", "5")
        return (
            ("", "failed (3 of 24 samples not finite)") if broken else (row["value"], row["reason"])
        )

    edit_metrics(fresh, edit)
    lines = {(x.task, x.method, x.metric): x for x in summarise(load(fresh))}
    actual = lines["gmm-phase", "dps", "energy"]
    assert (actual.mean, actual.num_failed) == (None, 2)
    assert actual.reason == "failed (2 of 16 measurements: 3 of 24 samples not finite)"
    assert lines["gmm-phase", "oracle", "energy"].num_failed == 0


def test_measurements_without_reference_are_left_out_for_all_and_counted(fresh):
    def edit(row):
        unknown = row["metric"] == "energy" and row["observation"] == "0" and not row["reason"]
        return (
            ("", "n/a (reference not admitted: runs disagree)")
            if unknown
            else (row["value"], row["reason"])
        )

    edit_metrics(fresh, edit)
    lines = {(x.task, x.method, x.metric): x for x in summarise(load(fresh))}
    actual = lines["gmm-phase", "dps", "energy"]
    assert actual.mean is not None and actual.num_failed == 0
    assert (
        actual.reason == "over 15 of 16 measurements: n/a (reference not admitted: runs disagree)"
    )


def test_values_that_are_not_finite_are_failures(fresh):
    edit_metrics(
        fresh, lambda row: ("inf" if row["method"] == "dps" else row["value"], row["reason"])
    )
    lines = {(x.task, x.method, x.metric): x for x in summarise(load(fresh))}
    assert lines["gmm-phase", "dps", "energy"].reason == "failed (value is not finite)"


def test_results_of_other_measurements_are_refused(fresh):
    path = fresh.parents[1] / "runs" / "gmm-phase" / "dps" / "seed0" / "samples.safetensors"
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, {**header, "observations_sha256": "of-other-measurements"})
    with pytest.raises(
        ArtefactError, match=r"dps/seed0/samples.safetensors: observations_sha256 is of-other-mea"
    ):
        tables_stage.main(str(fresh))


def test_an_edited_metrics_file_is_named(fresh):
    path = fresh.parents[1] / "tasks" / "gmm-phase" / "metrics.csv"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    with pytest.raises(ArtefactError, match="gmm-phase/metrics.csv"):
        tables_stage.main(str(fresh))


def test_reasons_are_one_line():
    assert format_reason("failed", "ValueError: a\n  b") == "failed (ValueError: a b)"
    assert format_reason("failed", "n/a (needs DECODER)") == "n/a (needs DECODER)"
