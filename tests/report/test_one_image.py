"""Tables, page and figures where the posterior of all or most measurements of a task is nearly one image."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from helpers.synthetic_results import TASKS, edit_metrics, rows_of, summary_of, write_results
from PIL import Image

from bench.core.artefacts import write_bytes
from bench.core.registry import build
from bench.core.results import FIGURES
from bench.metrics._spread import ONE_IMAGE
from bench.stages import claims as claims_stage
from bench.stages import published as published_stage
from bench.stages import report as report_stage
from bench.stages import tables as tables_stage
from bench.stats.figure_results import FigureResults
from bench.stats.results import load

RATIOS = ("diversity_ratio", "std_ratio", "worth_mean", "worth_energy")
LEFT = {"all": (), "most": ("0", "3", "9", "12")}  # measurements with a ratio
TASK = "gmm-phase"  # which `edit_metrics` changes


@pytest.fixture(scope="module", params=LEFT)
def suite(request, tmp_path_factory) -> tuple[str, Path, dict[str, str]]:
    """Return how many ratios are absent, the suite's spec with its tables and page, and the csv of each figure."""

    def edit(row):
        is_absent = row["metric"] in RATIOS and row["observation"] not in LEFT[request.param]
        return ("", row["reason"] or ONE_IMAGE) if is_absent else (row["value"], row["reason"])

    spec = write_results(tmp_path_factory.mktemp("suite"))
    edit_metrics(spec, edit)
    results, figures = FigureResults(load(spec)), spec.parents[1] / "figures"
    drawn = {name: build("figure", name, {}).draw(results).csv for name in FIGURES}
    figures.mkdir()
    for stem in (*FIGURES, *(f"grid-{task}" for task in TASKS)):  # the page shows whatever is there
        Image.new("RGB", (40, 20)).save(figures / f"{stem}.png")
        write_bytes(figures / f"{stem}.csv", drawn.get(stem, "x\n").encode())
    for stage in (tables_stage, published_stage, claims_stage, report_stage):
        stage.main(str(spec))
    return request.param, spec, drawn


def test_tables_have_the_mean_of_what_is_left_or_the_reason(suite):
    which, spec, _ = suite
    for id in RATIOS:
        line = summary_of(spec)[TASK, "oracle", id]
        expected = ONE_IMAGE if which == "all" else f"over 4 of 16 measurements: {ONE_IMAGE}"
        assert (line["mean"] == "") == (which == "all") and line["reason"] == expected


def test_methods_are_compared_by_no_ratio_that_is_absent(suite):
    which, spec, _ = suite
    lines = [
        line
        for line in rows_of(spec.parents[1] / "tables" / "comparisons.csv")
        if line["task"] == TASK and line["metric"] == "diversity_ratio" and line["method"] == "dps"
    ]
    assert which == "most" or not any(line["difference"] for line in lines)


def test_the_page_gives_the_reason(suite):
    _, spec, _ = suite
    text = html.unescape((spec.parents[1] / "report.html").read_text())
    assert "the posterior is nearly one image" in text


def test_figures_leave_the_task_out_or_draw_what_is_left(suite):
    which, _, drawn = suite
    of_collapse = [line for line in drawn["collapse"].splitlines() if line.startswith(TASK)]
    assert bool(of_collapse) == (which == "most")
    assert any(line.startswith("gmm-inpaint-box") for line in drawn["collapse"].splitlines())
    of_task = [
        line
        for line in drawn["fidelity-diversity"].splitlines()
        if line.startswith(TASK) and "diversity_ratio" in line
    ]
    assert of_task and any(ONE_IMAGE in line for line in of_task)
