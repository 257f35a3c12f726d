"""The tables of a synthetic suite: cells, headers, notes and bold type."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.metric_values import COLUMNS as BUILT_IN
from helpers.synthetic_results import BIAS, METHODS, PROVENANCE, TASKS, TRAINING, drawn, rows_of

from bench.core.artefacts import read_csv, write_csv
from bench.core.catalogue import PERCEPTUAL
from bench.metrics.class_frechet import columns_by
from bench.metrics.perceptual import perceptual_columns
from bench.report import tables
from bench.report.headers import task_header
from bench.report.markup import markdown_of
from bench.report.notes import measured_range, notes
from bench.report.tables import SHOWN, distance_table, goal_of, task_tables
from bench.stats.comparisons import ONE_SEED, SEVERAL_SEEDS, compare
from bench.stats.results import load
from bench.stats.summary import summarise

MAP_TASK = "gmm_map-denoise"


def test_diversity_names_what_samples_are_worth(finished):
    folder = finished.parents[1] / "tables"
    for path in (
        folder / "summary.md",
        folder / "summary.tex",
        finished.parents[1] / "report.html",
    ):
        text = path.read_text()
        # the chain method ran on three of the four tasks; 5 and 7 have a harmonic mean of 5.83
        assert text.count("worth 5.83 exact draws") == 3, path
        assert "the number of independent exact draws that would be as far from" in text, path
    row = next(
        line
        for line in (folder / "summary.md").read_text().splitlines()
        if line.startswith("| latent")
    )
    assert re.search(r"\] \(worth 5.83 exact draws\)", row)
    # this table has no diversity
    assert "exact draws the samples are worth" not in (folder / "distance.md").read_text()


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


def test_the_header_line_describes_the_task(finished):
    task = load(finished).tasks[0]
    assert task_header(task) == (
        "operator inpaint-box (box 4); sigma_y = 0.1 (0.05 on [0, 1]); prior gmm (gmm on digits); exact posterior: "
        "closed form; posterior perplexity 2.5 components (mean)"
    )


def test_the_header_of_a_learned_prior_names_the_posterior(finished):
    header = task_header(load(finished).tasks[-1])
    assert "truth: the posterior of the decoder, p(x) = f(N(0, I)), by tempered SMC in z" in header
    assert "prior gmm_map (regression_map on digits)" in header
    assert "posterior perplexity n/a; other prior: aps, dps, dps-n1000 (saw the denoiser" in header


def test_methods_that_saw_another_prior_are_listed_below_without_bold_and_compared_by_its_posterior(
    finished,
):
    suite = load(finished)
    tables = task_tables(suite, summarise(suite), compare(suite))
    table = next(table for table in tables if table.title == MAP_TASK)
    names, others = list(table.frame.index), ["dps", "dps-n1000", "aps"]
    assert names[-3:] == others and {table.roles[name] for name in others} == {"other prior"}
    bold = {name: {c for c, cell in table.frame.loc[name].items() if cell.tied} for name in names}
    assert all(column.endswith("_total") for name in others for column in bold[name])
    assert any(bold[name] for name in others)
    assert not any(c.endswith("_total") for name in set(names) - set(others) for c in bold[name])
    distances = distance_table(suite, summarise(suite), compare(suite)).frame
    assert distances.loc[MAP_TASK, "dps"].remark == "other prior"


def test_totals_have_columns_where_there_are_numbers(finished):
    suite = load(finished)
    lines = summarise(suite)
    for table in task_tables(suite, lines, compare(suite)):
        names = list(table.frame.columns)
        assert ("energy_total" in names) == (table.title == MAP_TASK)
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
        assert "- train_seconds: processor seconds" in page and "- train_nfe: rows" in page


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
    failed = verdicts["gmm-phase", "dps-n1000", "energy"]
    assert (failed["tied"], failed["num_failed"]) == ("False", "16")
    assert (
        verdicts["gmm-inpaint-box", "ods-single", "energy"]["reason"] == "n/a (only 3 measurements)"
    )


def test_bold_and_resolution_are_in_every_kind_of_table(finished):
    folder = finished.parents[1]
    mean = r"\*\*0\.086\*\* \[0\.066, 0\.106\]"
    assert re.search(
        rf"\| latent_langevin \|.*\| {mean} \|", (folder / "tables" / "summary.md").read_text()
    )
    # an unbiased distance leads
    energy = r"\*\*0\.026\*\* \[0\.017, 0\.034\]"
    assert re.search(
        rf"\| gmm-inpaint-box \|.*\| {energy} \|", (folder / "tables" / "distance.md").read_text()
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


def test_numbers_of_measurements_are_stated_where_tasks_differ(finished):
    suite = load(finished)
    assert measured_range(suite) == "16"
    assert notes(suite, ())[0].startswith("16 measurements per task, 24 samples")
    first, *others = suite.tasks
    many = replace(suite, tasks=(replace(first, num_measurements=64), *others))
    assert measured_range(many) == "16 to 64"
    assert notes(many, ())[0].startswith("16 measurements per task (64 on gmm-inpaint-box), 24 ")


def test_notes_explain_the_number_of_seeds(finished):
    suite = load(finished)
    assert ONE_SEED in notes(suite, ()) and SEVERAL_SEEDS in notes(replace(suite, seeds=(0, 1)), ())


def test_every_goal_of_a_column_is_that_of_the_metric(finished):
    perceptual = [metric for name in PERCEPTUAL for metric in perceptual_columns(name)]
    by_class = [column for of in ("digits", "fashion") for column in columns_by(f"{of}-convnet-v1")]
    columns = (*BUILT_IN, *perceptual, *by_class)
    better = {metric.id: metric.better for metric in columns if metric.better is not None}
    first, *others = load(finished).tasks
    suite = replace(load(finished), tasks=(replace(first, better=better), *others))
    goals = {name: goal_of(name, suite) for name in SHOWN}
    for name, goal in goals.items():
        if goal:
            assert better[name] == {"up": "higher", "down": "lower"}.get(goal) or better[
                name
            ] == float(goal[2:])
    without = {
        *(metric.id for metric in columns if metric.better is None and metric.id in SHOWN),
        *(column.id for column in by_class if "floor" in column.id),
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


def test_ranks_are_drawn_and_listed_in_the_table_of_distances(finished):
    rows = {(row["metric"], row["method"]): row for row in drawn(finished, "ranks")}
    assert rows["energy", "latent_langevin"]["mean_rank"] == "1"
    assert rows["energy", "latent_langevin"]["num_tasks"] == "2"  # needs a decoder
    assert rows["energy", "dps"]["num_tasks"] == "3"  # saw another prior on the fourth
    assert rows["energy", "ods-single"]["reason"] == "n/a (ran on 2 tasks)"
    suite = load(finished)
    frame = distance_table(suite, summarise(suite), compare(suite)).frame
    assert frame.loc["mean rank, 3 of 4 tasks", "latent_langevin"].remark == "2 tasks"


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


def test_methods_whose_rows_interact_are_marked(finished):
    suite = load(finished)
    first = suite.tasks[0]
    runs = tuple(
        replace(run, header=run.header | {"interacts": "alone"}) if run.method == "aps" else run
        for run in first.runs
    )
    marked = replace(suite, tasks=(replace(first, runs=runs), *suite.tasks[1:]))
    lines, comparisons = summarise(marked), compare(marked)
    assert task_tables(marked, lines, comparisons)[0].roles["aps"] == "rows interact"
    goals = distance_table(marked, lines, comparisons).goals
    assert goals["aps"] == "rows interact" and not goals["dps"]
    assert any(note.startswith("(rows interact): ") for note in notes(marked, ()))
    assert not any(note.startswith("(rows interact): ") for note in notes(suite, ()))


def test_many_methods_are_rows_of_the_table_of_distances(finished, monkeypatch):
    suite = load(finished)
    across = distance_table(suite, summarise(suite), compare(suite))
    monkeypatch.setattr(tables, "MOST_ACROSS", 2)
    down = distance_table(suite, summarise(suite), compare(suite))
    assert across.methods_across and not down.methods_across
    assert down.frame.equals(across.frame.T)
    page = markdown_of(down)
    assert "| reference (floor) |" in page and "| unconditional (ceiling) |" in page
