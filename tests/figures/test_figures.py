"""The report's figures and page, drawn from a synthetic suite."""

from __future__ import annotations

import base64
import csv
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from helpers.synthetic_results import (
    METHODS,
    NUM_SAMPLES,
    TASKS,
    TRAINING,
    drawn,
    edit_metrics,
    edit_spec,
    summary_of,
)
from matplotlib.figure import Figure

from bench.conformance.figure_cases import suite_results
from bench.core.artefacts import read_csv, read_tensors, write_tensors
from bench.core.layout import Layout
from bench.core.registry import build
from bench.core.results import FIGURES, SampleSet, TaskSamples
from bench.figures._saving import save
from bench.figures._style import drawing_style, looks, plain
from bench.figures.amortisation import TotalCost, break_even
from bench.figures.calibration import Calibration
from bench.figures.collapse import Collapse
from bench.figures.distance import Distance
from bench.figures.grid import Grid
from bench.stages import claims as claims_stage
from bench.stages import published as published_stage
from bench.stages import report as report_stage
from bench.stages import tables as tables_stage
from bench.stats.figure_results import FigureResults
from bench.stats.results import load
from bench.stats.samples import task_samples

MAP_TASK = "gmm_map-denoise"


def test_each_figure_is_pdf_png_and_the_csv_it_draws(finished):
    folder = finished.parents[1] / "figures"
    for stem in (*FIGURES, *(f"grid-{task}" for task in TASKS)):
        assert (folder / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert read_csv(folder / f"{stem}.csv")[1]["provenance"]


def test_distance_figure_draws_the_numbers_of_the_table(finished):
    drawn = csv.DictReader(
        io.StringIO(read_csv(finished.parents[1] / "figures" / "distance.csv")[0])
    )
    summary = summary_of(finished)
    for row in drawn:
        assert row.items() <= summary[row["task"], row["method"], row["metric"]].items()


def test_break_even_is_where_both_have_spent_the_same():
    trained, cheap, dear = TotalCost(90, 0.1), TotalCost(0, 0.4), TotalCost(2, 30)
    assert trained.is_amortised and not cheap.is_amortised and not dear.is_amortised
    assert break_even(trained, cheap) == pytest.approx(300)
    for other in (cheap, dear):
        num_measurements = break_even(trained, other)
        assert trained.total(num_measurements) == pytest.approx(other.total(num_measurements))
    assert break_even(trained, TotalCost(0, 0.1)) == float("inf")


def test_amortisation_lists_the_break_even_points_of_the_table(finished):
    rows, summary = drawn(finished, "amortisation"), summary_of(finished)
    pairs = {
        (row["task"], row["method"], row["against"]): row["break_even"]
        for row in rows
        if row["against"]
    }
    assert {method for _, method, _ in pairs} == {"aps"}
    others = {other for task, _, other in pairs if task == "gmm-inpaint-box"}
    # neither oracle nor unconditional
    assert others == {"dps", "dps-n1000", "latent_langevin", "ods-single"}
    assert ("gmm-phase", "aps", "dps-n1000") not in pairs  # failed
    seconds = {m: float(summary[MAP_TASK, m, "seconds_per_sample"]["mean"]) for m in ("aps", "dps")}
    expected = TRAINING["aps"][0] / (NUM_SAMPLES * (seconds["dps"] - seconds["aps"]))
    assert float(pairs[MAP_TASK, "aps", "dps"]) == pytest.approx(expected, rel=1e-4)


def test_collapse_shows_the_numbers_of_the_table(finished):
    rows, summary = drawn(finished, "collapse"), summary_of(finished)
    assert {row["method"] for row in rows} == set(METHODS) - {"unconditional"}
    assert not [row for row in rows if (row["task"], row["method"]) == ("gmm-phase", "dps-n1000")]
    for row in (row for row in rows if row["task"] != "all tasks"):
        for metric in ("diversity_ratio", "coverage_exact@0.9"):
            assert row[metric] == summary[row["task"], row["method"], metric]["mean"]


def test_samples_without_any_diversity_are_drawn(fresh):
    edit_metrics(
        fresh,
        lambda row: ("0" if row["metric"] == "diversity_ratio" else row["value"], row["reason"]),
    )
    rows = csv.DictReader(io.StringIO(Collapse().draw(FigureResults(load(fresh))).csv))
    assert {row["diversity_ratio"] for row in rows if row["task"] == "gmm-phase"} == {"0.001"}


def test_collapsed_methods_are_named_in_the_corner(finished):
    (axes,) = Collapse().draw(FigureResults(load(finished))).figure.axes
    words = [text.get_text() for text in axes.texts]
    assert (
        "aps" in words
        and "oracle" not in words
        and any(word.startswith("collapsed") for word in words)
    )


@pytest.mark.parametrize(
    "stem", ["collapse", "cost", "cost-seconds", "coverage", "distance", "fidelity-diversity"]
)
def test_rows_that_saw_another_prior_are_hollow_and_the_legend_says_so(finished, stem):
    suite = load(finished)
    own = replace(suite, tasks=tuple(task for task in suite.tasks if not task.unranked))
    drawn = {
        name: build("figure", stem, {}).draw(FigureResults(x))
        for name, x in {"all": suite, "own": own}.items()
    }
    words, markers = (
        {name: find(x.figure) for name, x in drawn.items()} for find in (legend_words, hollow)
    )
    assert (
        "hollow: saw another prior" in words["all"]
        and "hollow: saw another prior" not in words["own"]
    )
    seen = {looks(METHODS)[method] for method in ("dps", "dps-n1000", "aps")}
    assert markers["all"] == {(look.colour, look.marker) for look in seen} and not markers["own"]


def legend_words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def hollow(figure: Figure) -> set[tuple[str, str]]:
    """Return colour and marker of all hollow points."""
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    return {
        (line.get_color(), line.get_marker())
        for line in lines
        if line.get_markerfacecolor() == "white"
    }


def test_the_large_markers_of_the_collapse_figure_leave_out_tasks_whose_prior_a_method_did_not_see(
    finished,
):
    rows = drawn(finished, "collapse")
    of_aps = {
        row["task"]: float(row["coverage_exact@0.9"]) for row in rows if row["method"] == "aps"
    }
    mean = of_aps.pop("all tasks")
    assert MAP_TASK in of_aps
    assert mean == pytest.approx(np.mean([x for task, x in of_aps.items() if task != MAP_TASK]))


def test_the_labels_of_a_single_panel_are_close_to_it():
    results = FigureResults(suite_results(2, 1))
    figure = Calibration().draw(results).figure
    (panel,) = figure.axes
    assert panel.get_ylabel() == "share of pixels of x_true inside" and panel.get_xlabel()
    figure.draw_without_rendering()
    gap = panel.get_position().x0 - panel.yaxis.label.get_window_extent().x1 / figure.bbox.width
    assert 0 < gap < 0.1 and figure.get_supylabel() == ""


def test_the_csv_of_grid_has_the_pictures(finished):
    folder = finished.parents[1]
    rows = list(
        csv.DictReader(io.StringIO(read_csv(folder / "figures" / "grid-gmm-inpaint-box.csv")[0]))
    )
    seen = read_tensors(folder / "tasks" / "gmm-inpaint-box" / "observations.safetensors")[0]
    first = [row for row in rows if row["observation"] == "0"]
    truth = [float(row["value"]) for row in first if row["kind"] == "x_true"]
    # four decimals, read as float32
    np.testing.assert_allclose(truth, seen["x_true"][0].flatten(), atol=5e-5 + 1e-7)
    assert [row["value"] == "" for row in first if row["kind"] == "y"] == (
        seen["mask"][0].flatten() == 0
    ).tolist()
    assert {row["panel"] for row in rows} == {"measurement", "truth", "exact", *METHODS}
    assert {row["observation"] for row in rows if row["panel"] == "ods-single"} == {"0", "1", "2"}
    failed = list(
        csv.DictReader(io.StringIO(read_csv(folder / "figures" / "grid-gmm-phase.csv")[0]))
    )
    assert "dps-n1000" not in {row["panel"] for row in failed}


def test_looks_depend_on_the_order_alone_and_do_not_repeat():
    names = [f"method{i}" for i in range(40)]
    actual = looks(names)
    assert len(set(actual.values())) == 40
    assert looks(names[:3]) == {name: actual[name] for name in names[:3]}


class _Page(HTMLParser):
    VOID = ("meta", "img", "br", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.images, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attributes):
        actual = dict(attributes)
        self.ids += [actual["id"]] if "id" in actual else []
        self.images += [actual["src"]] if tag == "img" else []
        self.links += [actual["href"]] if "href" in actual else []
        self.open += [] if tag in self.VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_needs_no_network(finished):
    text = (finished.parents[1] / "report.html").read_text()
    page = _Page()
    page.feed(text)
    # truth, reference, best and worst of a task of each prior; charts are drawn by the page itself
    assert page.open == [] and len(page.images) >= 3 * 4
    for image in page.images:
        data = base64.b64decode(image.removeprefix("data:image/webp;base64,"))
        assert data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    assert all(f"chart-{stem}" in page.ids for stem in ("distance", "coverage", "cost", "collapse"))
    assert "://" not in re.sub(r"data:[a-z/]+;base64,[A-Za-z0-9+/=]+", "", text)
    for link in (link for link in page.links if not link.startswith("data:")):
        assert (
            link[1:] in page.ids if link.startswith("#") else (finished.parents[1] / link).exists()
        ), link
    assert "n/a (needs DECODER)" in text and "values_of 100% NaN" in text
    assert "claims" in page.ids and "not testable here" in text
    assert "published" in page.ids and "ffhq 256 x 256, imagenet 256 x 256" in text


def test_same_results_give_the_same_bytes(finished, tmp_path):
    folder, again = finished.parents[1], tmp_path / "again"
    spec = shutil.copytree(folder, again) / finished.relative_to(folder)
    edit_spec(spec, root=str(again))
    for path in (*(again / "tables").iterdir(), again / "report.html"):
        path.unlink()
    for stage in (tables_stage, published_stage, claims_stage, report_stage):
        stage.main(str(spec))
    for path in (*(folder / "tables").iterdir(), folder / "report.html"):
        assert (again / path.relative_to(folder)).read_bytes() == path.read_bytes(), path.name
    for number in range(2):
        with drawing_style():
            save(
                Distance().draw(FigureResults(load(finished))),
                tmp_path / str(number),
                "distance",
                {},
            )
    for suffix in ("pdf", "png", "csv"):
        assert len({(tmp_path / n / f"distance.{suffix}").read_bytes() for n in "01"}) == 1


def test_measurements_that_a_run_leaves_out_say_so_in_the_grid():
    seen = {"x_true": np.zeros((2, 1, 4, 4)), "y": np.ones((2, 1, 4, 4))}
    actual = Grid().draw(
        TaskSamples(
            "first",
            seen,
            [
                SampleSet("exact", np.zeros((2, 3, 1, 4, 4))),
                SampleSet("dear", np.zeros((1, 3, 1, 4, 4))),
            ],
        )
    )
    assert any("only the first 1" in text.get_text() for text in actual.figure.axes[0].texts)


def test_draws_that_are_not_admitted_give_their_reason_in_the_grid(finished, tmp_path):
    """Where a decoder is too dear for a reference, its draws are NaN: that is no failure of samples."""
    root = shutil.copytree(finished.parents[1], tmp_path / "suite")
    path = Layout(root).task("gmm-inpaint-box").reference
    tensors, header = read_tensors(path)
    tensors["x_b"][0] = float("nan")
    reasons = ["19 network calls per decoded row"] + [""] * (len(tensors["x_b"]) - 1)
    write_tensors(path, tensors, {**header, "reasons": reasons})
    shown = task_samples(root, "gmm-inpaint-box", [], 0).sample_sets[0]
    assert shown.why_not(0) == f"n/a (reference not admitted: {reasons[0]})"
    assert shown.why_not(1) == ""


def test_the_grid_names_rows_that_saw_another_prior(finished):
    marked_rows = {}
    for task in ("gmm-inpaint-box", MAP_TASK):
        figure = Grid().draw(task_samples(finished.parents[1], task, METHODS[:6], 0)).figure
        words = [text.get_text() for text in figure.axes[0].texts]
        marked_rows[task] = {x.split("\n")[0] for x in words if x.endswith("\n(other prior)")}
    assert marked_rows == {"gmm-inpaint-box": set(), MAP_TASK: {"dps", "dps-n1000", "aps"}}


def test_a_class_is_written_as_its_number():
    seen = {"x_true": np.zeros((1, 1, 4, 4)), "y": np.eye(10)[[7]].reshape(1, 1, 1, 10)}
    actual = Grid().draw(
        TaskSamples("class", seen, [SampleSet("exact", np.zeros((1, 3, 1, 4, 4)))])
    )
    assert "7" in [text.get_text() for text in actual.figure.axes[0].texts]


def test_colours_and_rgb_measurements_are_drawn():
    seen = {"x_true": np.zeros((1, 3, 4, 4)), "y": np.ones((1, 7))}
    x = np.zeros((1, 1, 3, 4, 4))
    actual = Grid().draw(
        TaskSamples("rgb", seen, [SampleSet("exact", x), SampleSet("broken", x + np.nan)])
    )
    rows = list(csv.DictReader(io.StringIO(actual.csv)))
    assert (
        sum(row["kind"] == "y" for row in rows) == 7
        and sum(row["kind"] == "mean" for row in rows) == 48
    )
    assert "broken" not in {row["panel"] for row in rows}
    assert any("not finite" in text.get_text() for text in actual.figure.axes[0].texts)


def test_the_users_matplotlib_settings_change_nothing(finished, tmp_path):
    spoiled = {
        "font.size": 30,
        "text.usetex": True,
        "savefig.bbox": "tight",
        "axes.facecolor": "red",
    }
    for number, settings in enumerate(({}, spoiled)):
        with matplotlib.rc_context(settings), drawing_style():
            save(
                Distance().draw(FigureResults(load(finished))),
                tmp_path / str(number),
                "distance",
                {},
            )
    assert (tmp_path / "0/distance.png").read_bytes() == (tmp_path / "1/distance.png").read_bytes()


def test_dollars_in_an_error_message_are_no_mathematics():
    seen = {"x_true": np.zeros((1, 1, 4, 4)), "y": np.ones((1, 1, 4, 4))}
    reason = r"failed (ValueError: $\frac{ is no $ of 'a_b^c')"
    sets = [
        SampleSet("exact", np.zeros((1, 3, 1, 4, 4))),
        SampleSet("x", np.zeros((1, 0, 1, 4, 4)), reason),
    ]
    figure = Grid().draw(TaskSamples("first", seen, sets)).figure
    figure.savefig(io.BytesIO())
    assert plain(reason).count(r"\$") == 2
