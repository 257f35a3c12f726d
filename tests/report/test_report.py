"""The report: summary and tables with a reason for every gap, from a synthetic suite."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.metric_values import COLUMNS as BUILT_IN
from helpers.synthetic_results import (
    BIAS,
    FAILURE,
    LEFT_OUT,
    METHODS,
    NUM_MEASUREMENTS,
    NUM_SAMPLES,
    PROVENANCE,
    TASKS,
    TRAINING,
    WORTH,
    drawn,
    edit_metrics,
    rows_of,
    summary_of,
)

from bench.core.artefacts import (
    ArtefactError,
    read_csv,
    read_json,
    read_tensors,
    write_csv,
    write_json,
    write_tensors,
)
from bench.core.catalogue import PERCEPTUAL
from bench.metrics.perceptual import perceptual_columns
from bench.report.headers import task_header
from bench.report.notes import notes
from bench.report.tables import SHOWN, distance_table, goal_of, task_tables
from bench.stages import tables as tables_stage
from bench.stats.comparisons import ONE_SEED, SEVERAL_SEEDS, compare
from bench.stats.results import format_reason, load
from bench.stats.summary import summarise

MAP_TASK = "gmm_map-denoise"
STUCK, SHORT = "n/a (chains do not move)", "n/a (fewer than 4 states per chain)"
SOME = "over 12 of 16 measurements"


# Summary --------------------------------------------------------------------------------------------------------------


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


def test_effective_samples_per_second_and_per_row(finished):
    actual = {key: row["mean"] and float(row["mean"]) for key, row in summary_of(finished).items()}
    # a chain's samples of one measurement; equally many measurements have either
    worth = sum(WORTH) / 2
    seconds, rows = (
        actual["gmm-phase", "latent_langevin", "seconds_per_sample"] * NUM_SAMPLES,
        2 * 12000 * NUM_SAMPLES,
    )
    # summary.csv keeps six digits
    assert actual["gmm-phase", "latent_langevin", "ess_per_second"] == pytest.approx(
        worth / seconds, rel=1e-4
    )
    assert actual["gmm-phase", "latent_langevin", "ess_per_nfe"] == pytest.approx(
        worth / rows, rel=1e-4
    )
    dps = actual["gmm-phase", "dps", "seconds_per_sample"]
    # independent: one each
    assert actual["gmm-phase", "dps", "ess_per_second"] == pytest.approx(1 / dps, rel=1e-4)
    # 200 forward and 200 backward
    assert actual["gmm-phase", "dps", "ess_per_nfe"] == pytest.approx(1 / 400, rel=1e-4)
    only_some = actual["gmm-inpaint-box", "ods-single", "seconds_per_sample"]
    assert actual["gmm-inpaint-box", "ods-single", "ess_per_second"] == pytest.approx(
        1 / only_some, rel=1e-4
    )


def test_why_there_are_no_effective_samples_per_second(finished):
    reasons = {key: row["reason"] for key, row in summary_of(finished).items()}
    assert reasons["gmm-phase", "oracle", "ess_per_second"] == "n/a (coupled samples)"
    assert reasons["gmm-phase", "unconditional", "ess_per_nfe"] == "n/a (no network rows)"
    assert reasons["gmm-phase", "dps-n1000", "ess_per_second"] == FAILURE
    assert reasons["atoms-sr4", "latent_langevin", "ess_per_nfe"] == "n/a (needs DECODER)"


@pytest.mark.parametrize(
    ("which", "reason", "mean", "said", "remark"),
    [
        ("1 3 5 7", STUCK, 68 / 12, f"{SOME}: {STUCK}", f"6 of 24 effective, {SOME}"),
        ("all", SHORT, None, SHORT, "? of 24 effective"),
        (
            "0",
            "failed (2 of 24 samples not finite)",
            None,
            "failed (1 of 16 measurements",
            "? of 24 effective",
        ),
    ],
)
def test_chains_of_unknown_worth_say_so(fresh, which, reason, mean, said, remark):
    def edit(row):
        is_hit = which == "all" or row["observation"] in which.split()
        if (row["method"], row["metric"]) == ("latent_langevin", "ess_bulk") and is_hit:
            return "", reason
        return row["value"], row["reason"]

    edit_metrics(fresh, edit)
    suite = load(fresh)
    lines = summarise(suite)
    actual = {(x.method, x.metric): x for x in lines if x.task == "gmm-phase"}[
        "latent_langevin", "ess_per_nfe"
    ]
    # 8 measurements are worth 5, the 4 odd ones left 7
    expected = None if mean is None else pytest.approx(mean / (24000 * NUM_SAMPLES))
    assert actual.mean == expected and actual.reason.startswith(said)
    table = next(x for x in task_tables(suite, lines, ()) if x.title == "gmm-phase")
    assert table.frame.loc["latent_langevin", "diversity_ratio"].remark == remark


def test_diversity_of_chains_names_their_effective_number(finished):
    tables = finished.parents[1] / "tables"
    for path in (
        tables / "summary.md",
        tables / "summary.tex",
        finished.parents[1] / "report.html",
    ):
        text = path.read_text()
        # the chain method ran on three of the four tasks, and nothing else is a chain
        assert text.count("6 of 24 effective") == 3, path
        assert "Samples that are states of chains" in text, path
    row = next(
        line
        for line in (tables / "summary.md").read_text().splitlines()
        if line.startswith("| latent")
    )
    assert re.search(r"\] \(6 of 24 effective\)", row)
    assert "states of chains" not in (tables / "distance.md").read_text()  # has no diversity


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
        ArtefactError, match=r"dps/seed0/samples.safetensors: observations_sha256 is of-another-b"
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


# Tables ---------------------------------------------------------------------------------------------------------------


def test_tables_name_floor_ceiling_failures_and_commit(finished):
    page = (finished.parents[1] / "tables" / "summary.md").read_text()
    assert "| reference (floor) |" in page and "| unconditional (ceiling) |" in page
    assert "| latent_langevin | n/a (needs DECODER) | n/a |" in page
    assert "failed (ValueError: step 17 gave \\| values_of 100% NaN)" in page
    assert (
        f"Made by commit {PROVENANCE['commit'][:12]} (42 files)." in page and "Warning" not in page
    )
    names = (
        "reference",
        "oracle",
        "dps |",
        "dps-n1000",
        "latent_langevin",
        "aps",
        "ods-single",
        "unconditional",
    )
    order = [page.index(f"| {name}") for name in names]
    assert order == sorted(order)


def test_header_line_says_what_the_task_is(finished):
    task = load(finished).tasks[0]
    assert task_header(task) == (
        "operator inpaint-box (box 4); sigma_y = 0.1 (0.05 on [0, 1]); prior gmm (gmm on digits); exact posterior: "
        "closed form; posterior perplexity 2.5 components (mean)"
    )


def test_the_header_of_a_learned_prior_says_whose_posterior_it_is(finished):
    header = task_header(load(finished).tasks[-1])
    assert "truth: the posterior of the decoder, p(x) = f(N(0, I)), by tempered SMC in z" in header
    assert "methods that need a denoiser (dps, aps) use that of the map's teacher" in header
    assert header.endswith("posterior perplexity n/a")


def test_totals_have_columns_where_there_are_numbers(finished):
    suite = load(finished)
    lines = summarise(suite)
    for table in task_tables(suite, lines, compare(suite)):
        names = list(table.frame.columns)
        assert ("sw2-128_total" in names) == (table.title == MAP_TASK)
        assert {"diversity_ratio", "coverage_exact@0.9", "train_seconds", "train_nfe"} <= set(names)
    frame = distance_table(suite, lines, compare(suite)).frame
    assert [name for name in frame.index if name.endswith(", total")] == [f"{MAP_TASK}, total"]
    of_reference = (
        float(frame.loc[name, "reference"].mean) for name in (MAP_TASK, f"{MAP_TASK}, total")
    )
    assert -np.subtract(*of_reference) == pytest.approx(BIAS, abs=2e-3)  # three decimals each
    for name in ("summary.md", "summary.tex", "distance.md"):
        page = (finished.parents[1] / "tables" / name).read_text()
        assert "the same to the teacher's posterior" in page


def test_training_is_in_every_table(finished):
    suite = load(finished)
    seconds, nfe = TRAINING["aps"]
    frame = distance_table(suite, summarise(suite), compare(suite)).frame
    assert float(frame.loc["train_seconds, all tasks", "aps"].mean) == seconds * len(TASKS)
    assert float(frame.loc["train_nfe, all tasks", "aps"].mean) == nfe * len(TASKS)
    untrained = frame.columns[1 : list(frame.columns).index("aps")]
    assert {frame.loc["train_seconds, all tasks", name].mean for name in untrained} == {"0"}
    for name in ("summary.md", "distance.md"):
        page = (finished.parents[1] / "tables" / name).read_text()
        assert (
            "- train_seconds: seconds of the training job" in page and "- train_nfe: rows" in page
        )


def test_collapse_is_explained_and_marks_are_resolved(finished):
    page = (finished.parents[1] / "tables" / "summary.md").read_text()
    assert "- Collapse, which training by reverse KL tends to, shows in two columns" in page
    assert (
        page.count("† ods-single: over 3 of 16 measurements: n/a (only the first 3 measurements)")
        == 2
    )
    assert (
        r"$^\dagger$ ods-single: over 3 of 16"
        in (finished.parents[1] / "tables" / "summary.tex").read_text()
    )
    assert "† ods-single: over 3 of 16" in (finished.parents[1] / "report.html").read_text()


def test_bold_is_the_verdict_of_the_comparisons(finished):
    folder = finished.parents[1] / "tables"
    verdicts = {
        (x["task"], x["method"], x["metric"]): x for x in rows_of(folder / "comparisons.csv")
    }
    shown = {"True": 0, "False": 0}
    suite = load(finished)
    for table in task_tables(suite, summarise(suite), compare(suite)):
        for method, cells in table.frame.iterrows():
            for metric, cell in cells.items():
                verdict = verdicts.get((table.title, method, metric), {"tied": ""})["tied"]
                assert cell.tied == (verdict == "True")
                shown |= {verdict: shown[verdict] + 1} if verdict else {}
    assert shown["True"] > 30 and shown["False"] > 30
    assert {method for _, method, _ in verdicts} == set(METHODS) - {"oracle", "unconditional"}
    failed = verdicts["gmm-phase", "dps-n1000", "sw2-128"]
    assert (failed["tied"], failed["num_failed"]) == ("False", "16")
    assert (
        verdicts["gmm-inpaint-box", "ods-single", "sw2-128"]["reason"]
        == "n/a (only 3 measurements)"
    )


def test_bold_and_resolution_are_in_every_kind_of_table(finished):
    folder = finished.parents[1]
    mean = r"\*\*0\.086\*\* \[0\.066, 0\.106\]"
    assert re.search(
        rf"\| latent_langevin \|.*\| {mean} \|", (folder / "tables" / "summary.md").read_text()
    )
    assert re.search(
        rf"\| gmm-inpaint-box \|.*\| {mean} \|", (folder / "tables" / "distance.md").read_text()
    )
    assert r"$\mathbf{0.086}_{0.066}^{0.106}$" in (folder / "tables" / "summary.tex").read_text()
    assert "<b>0.086</b>" in (folder / "report.html").read_text()
    for name in ("tables/summary.md", "tables/distance.md", "report.html"):
        page = (folder / name).read_text()
        assert (
            "Smallest difference to the best that 16 measurements resolve (80 % power at 5 %"
            in page
        )
        assert "Bold: tied with the best" in page
    assert (
        r"Smallest difference to the best that 16 measurements resolve (80 \% power"
        in (folder / "tables" / "summary.tex").read_text()
    )


def test_notes_say_what_the_number_of_seeds_means(finished):
    suite = load(finished)
    assert ONE_SEED in notes(suite, ()) and SEVERAL_SEEDS in notes(replace(suite, seeds=(0, 1)), ())


def test_every_goal_of_a_column_is_what_the_metric_says(finished):
    perceptual = [metric for name in PERCEPTUAL for metric in perceptual_columns(name)]
    better = {metric.id: metric.better for metric in (*BUILT_IN, *perceptual)}
    first, *others = load(finished).tasks
    suite = replace(load(finished), tasks=(replace(first, better=better), *others))
    goals = {name: goal_of(name, suite) for name in SHOWN}
    for name, goal in goals.items():
        if goal:
            assert better[name] == {"up": "higher", "down": "lower"}.get(goal) or better[
                name
            ] == float(goal[2:])
    without = {
        "frechet_floor-digits-cnn-v1-n32",
        "nfe",
        "nfe_vjp",
        "seconds_per_sample",
        "train_seconds",
        "train_nfe",
    }
    assert {name for name, goal in goals.items() if not goal} == without
    assert (goals["psnr_mean"], goals["energy"], goals["coverage_exact@0.9"]) == (
        "up",
        "down",
        "= 0.9",
    )


def test_ranks_are_drawn_and_stand_in_the_table_of_distances(finished):
    rows = {(row["metric"], row["method"]): row for row in drawn(finished, "ranks")}
    assert rows["sw2-128", "latent_langevin"]["mean_rank"] == "1"
    assert (
        rows["sw2-128", "latent_langevin"]["tasks"] == "gmm-inpaint-box gmm-phase gmm_map-denoise"
    )
    assert rows["sw2-128", "ods-single"]["reason"] == "n/a (ran on 2 tasks)"
    suite = load(finished)
    assert (
        "mean rank, 3 of 4 tasks"
        in distance_table(suite, summarise(suite), compare(suite)).frame.index
    )


def test_a_metric_that_a_suite_adds_has_a_column(fresh):
    path = fresh.parents[1] / "tasks" / "gmm-phase" / "metrics.csv"
    text, info = read_csv(path)
    rows = [line for line in text.splitlines() if ",energy," in line]
    added = "".join(line.replace(",energy,", ",sharpness,") + "\n" for line in rows)
    write_csv(path, text + added, info | {"better": info["better"] | {"sharpness": "higher"}})
    suite = load(fresh)
    tables = {table.title: table for table in task_tables(suite, summarise(suite), ())}
    assert (
        tables["gmm-phase"].goals["sharpness"] == "up"
        and list(tables["gmm-phase"].frame)[-1] == "sharpness"
    )
    assert all("sharpness" not in tables[name].frame for name in TASKS if name != "gmm-phase")
    cells = tables["gmm-phase"].frame.loc["dps"]
    assert cells["sharpness"].mean == cells["energy"].mean
