"""Published rows shown with those of a suite: equal numbers, pairing, and refusal on other measurements."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic_results import (
    LEFT_OUT,
    METHODS,
    PROVENANCE,
    edit_spec,
    rows_of,
    summary_of,
    write_published,
)

from bench.core.artefacts import read_json, write_json
from bench.core.errors import UserError
from bench.core.layout import REFERENCE
from bench.core.results import SampleSet, TaskSamples
from bench.report.front import verdict
from bench.report.page import gallery
from bench.stages import figure
from bench.stages import tables as tables_stage
from bench.stats.beside import load_with_published
from bench.stats.results import load
from bench.stats.spending import rows_per_sample

SPEC = Path("results/synthetic/specs/suite.json")
OWN = ("oracle", "aps")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Published results of seven rows, and a suite that draws two of them and shows the others."""
    folder = tmp_path_factory.mktemp("beside")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tables_stage, "provenance", lambda: PROVENANCE)
        write_published()
        left_out = [pair for pair in LEFT_OUT if pair[1] in OWN]
        edit_spec(SPEC, methods=OWN, left_out=left_out, beside="synthetic")
        for method in set(METHODS) - set(OWN):
            for task in Path("results/synthetic/runs").iterdir():
                shutil.rmtree(task / method, ignore_errors=True)
        tables_stage.main(str(SPEC))
    return folder


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)


def test_published_rows_have_the_numbers_that_were_published():
    published = rows_of(REFERENCE / "synthetic/summary.csv")
    here = summary_of(SPEC)
    compared = 0
    for row in published:
        key = (row["task"], f"{row['method']} (published)", row["metric"])
        if row["metric"] in ("energy", "psnr_mean", "nfe") and key in here:
            for end in ("mean", "low", "high", "num_failed", "reason"):
                assert here[key][end] == row[end] or float(here[key][end]) == pytest.approx(
                    float(row[end]), rel=1e-4
                )
            compared += 1
    assert compared > 40


def test_published_rows_cost_what_they_did_with_training_forward_and_backward():
    suite = load_with_published(SPEC)
    task = suite.tasks[0]
    num_samples = suite.num_measured(task) * suite.num_samples
    spent = {run.method: rows_per_sample(run, num_samples) for run in task.runs}
    assert spent["aps (published)"] == pytest.approx(spent["aps"]) and spent["aps"] > 1000
    assert spent["dps (published)"] == 400


def test_rows_of_the_suite_are_compared_with_published_ones_in_pairs():
    lines = rows_of(Path("results/synthetic/tables/comparisons.csv"))
    of_task = {
        x["method"]: x for x in lines if (x["task"], x["metric"]) == ("gmm-inpaint-box", "energy")
    }
    assert {"aps", "dps (published)", "latent_langevin (published)"} <= set(of_task)
    assert of_task["dps (published)"]["best"] == "latent_langevin (published)"
    assert float(of_task["dps (published)"]["p_holm"]) < 0.05 and of_task["aps"]["p_holm"]


def test_baselines_are_not_taken_over_and_a_missing_run_has_its_reason():
    here = summary_of(SPEC)
    methods = {method for _, method, _ in here}
    assert "oracle (published)" not in methods and "unconditional (published)" not in methods
    assert (
        here["atoms-sr4", "latent_langevin (published)", "energy"]["reason"]
        == "n/a (needs DECODER)"
    )
    assert "left out" in here["gmm-phase", "ods-single (published)", "energy"]["reason"]
    assert here["gmm-phase", "dps-n1000 (published)", "energy"]["reason"].startswith("failed")
    assert here["gmm-inpaint-box", "ods-single (published)", "energy"]["reason"].startswith(
        "over 3 of 16"
    )


def test_the_page_of_tables_says_which_commit_published_them():
    page = Path("results/synthetic/tables/summary.md").read_text()
    assert "dps (published)" in page
    assert (
        "are not drawn here: they are those of the suite synthetic, published by commit 0123456789ab"
        in page
    )


def test_figures_of_distances_and_ranks_have_them():
    figure.main(str(SPEC), "ranks")
    assert "dps (published)" in Path("results/synthetic/figures/ranks.csv").read_text()


def test_published_rows_that_saw_another_prior_are_not_compared_with_the_others():
    lines = rows_of(Path("results/synthetic/tables/comparisons.csv"))
    compared = {
        x["method"] for x in lines if (x["task"], x["metric"]) == ("gmm_map-denoise", "energy")
    }
    by_teacher = {
        x["method"]
        for x in lines
        if (x["task"], x["metric"]) == ("gmm_map-denoise", "energy_total")
    }
    assert {"latent_langevin (published)", "ods-single (published)"} >= compared
    assert by_teacher == {"aps", *(f"{row} (published)" for row in ("aps", "dps", "dps-n1000"))}


def test_claims_and_publishing_are_about_the_rows_that_were_drawn():
    assert set(load(SPEC).methods) == set(OWN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observations_sha256": {"gmm-phase": "other"}}, "gmm-phase: its measurements"),
        ({"num_samples": 7}, "num_samples is 24, but the rows of synthetic were published with 7"),
    ],
)
def test_other_measurements_or_counts_are_refused(change, words):
    path = REFERENCE / "synthetic/provenance.json"
    before = read_json(path)
    write_json(path, before | change)
    try:
        with pytest.raises(UserError, match=words):
            load_with_published(SPEC)
    finally:
        write_json(path, before)


def test_pictures_and_counts_of_a_page_are_of_the_rows_that_were_drawn_here(monkeypatch):
    """Published rows have numbers, but no samples."""
    suite = load_with_published(SPEC)
    asked = []

    def read(root: Path, task: str, methods: list[str], seed: int) -> TaskSamples:
        asked.extend(methods)
        return TaskSamples(task, {}, [SampleSet("reference draws", np.zeros(0))])

    monkeypatch.setattr(gallery, "task_samples", read)
    gallery.samples_of(suite, suite.tasks[0])
    assert asked and set(asked) <= set(OWN)
    drawn = sum(len(task.runs) for task in load(SPEC).tasks)
    words, _ = verdict._failures(suite)
    assert f"{drawn} runs of {drawn} ended well" in "".join(map(str, words))


def test_published_rows_stand_under_the_kind_of_their_method():
    """The record has the kinds; of older records, the method that a row's name starts with says its kind."""
    suite = load_with_published(SPEC)
    assert suite.kinds["dps (published)"] == suite.kinds["dps-n1000 (published)"] == "guidance"
    assert suite.kinds["latent_langevin (published)"] == "latent"
    path = REFERENCE / "synthetic/provenance.json"
    before = read_json(path)
    write_json(path, before | {"kinds": {"dps": "SMC"}})
    try:
        assert load_with_published(SPEC).kinds["dps (published)"] == "SMC"
    finally:
        write_json(path, before)


def test_the_first_sentence_says_where_rows_drawn_here_stand_beside_the_best_published():
    first = Path("results/synthetic/tables/verdict.md").read_text().splitlines()[0]
    assert first.startswith("- Drawn here, by energy distance: aps is tied for best on ")
    assert "; the best published row, latent" in first.replace("\\", "")
