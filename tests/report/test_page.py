"""The report page: what its pictures and attachments hold, and that it works in a real browser, where there is one."""

from __future__ import annotations

import base64
import csv
import gzip
import html
import io
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic_results import FAILURE, METHODS, TASKS, write_results
from PIL import Image

from bench.core.artefacts import read_tensors
from bench.core.results import FIGURES, SampleSet
from bench.figures._style import looks
from bench.report.page.attachments import LARGEST_PLAIN, attached
from bench.report.page.figures import marks
from bench.report.page.gallery import MOST_SAMPLES, gallery_of
from bench.stages import claims as claims_stage
from bench.stages import published as published_stage
from bench.stages import report as report_stage
from bench.stages import tables as tables_stage
from bench.stats.results import load

PROBE = Path(__file__).with_name("page_probe.js")
ERRORS = """<script>
window.seenErrors = [];
addEventListener("error", (event) => window.seenErrors.push(event.message));
addEventListener("unhandledrejection", (event) => window.seenErrors.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => window.seenErrors.push(event.violatedDirective));
for (const kind of ["error", "warn"]) console[kind] = (...words) => window.seenErrors.push(words.join(" "));
</script>"""
GREY_STEP = 255 / 126  # of 127 greys


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite's report; its figures are stand-ins, what they show is tested elsewhere."""
    spec = write_results(tmp_path_factory.mktemp("suite"))
    figures = spec.parents[1] / "figures"
    figures.mkdir()
    for stem in (*FIGURES, *(f"grid-{task}" for task in TASKS)):
        Image.new("RGB", (40, 20)).save(figures / f"{stem}.png")
        (figures / f"{stem}.csv").write_text(
            f"stem,value\n{stem},1\n" * (5000 if stem.startswith("grid") else 1)
        )
    for stage in (tables_stage, published_stage, claims_stage, report_stage):
        stage.main(str(spec))
    return spec.parents[1] / "report.html"


def decoded(href: str) -> bytes:
    return base64.b64decode(href.split(",", 1)[1])


# What it holds --------------------------------------------------------------------------------------------------------


def test_the_head_says_how_many_measurements_tasks_have(report):
    text = report.read_text()
    assert (
        f"{len(TASKS)} tasks, {len(METHODS)} methods, 16 measurements per task, 24 samples" in text
    )


def test_every_csv_is_one_click_away(report):
    links = dict(re.findall(r'<a href="(data:[^"]+)" download="([^"]+)"', report.read_text()))
    actual = {name: decoded(href) for href, name in links.items()}
    folder = report.parent
    for path in [*(folder / "figures").glob("*.csv"), *(folder / "tables").glob("*.csv")]:
        is_large = path.stat().st_size > LARGEST_PLAIN
        data = gzip.decompress(actual[f"{path.name}.gz"]) if is_large else actual[path.name]
        assert data == path.read_bytes()
    assert {name.endswith(".gz") for name in actual} == {True, False}


def test_attachments_of_equal_files_are_equal(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x\n" * LARGEST_PLAIN)
    assert attached(path) == attached(path)


def test_marks_are_those_of_the_figures():
    actual, expected = marks(METHODS), looks(METHODS)
    assert {name: actual[name].colour for name in METHODS} == {
        name: look.colour for name, look in expected.items()
    }
    corners = {name: len(actual[name].outline.split()) for name in METHODS}
    assert corners["unconditional"] == 5 and corners["dps"] == 4  # square and triangle, closed


def test_sprite_holds_each_picture_at_its_place():
    rng = np.random.default_rng(0)
    seen = {
        "x_true": rng.uniform(-1, 1, (2, 1, 4, 3)),
        "y": rng.normal(size=(2, 1, 5, 6)),
        "mask": np.ones((2, 1, 5, 6)),
    }
    seen["mask"][1, 0, 0, 0] = 0
    x = rng.normal(size=(2, 5, 1, 4, 3))
    actual = gallery_of(
        seen, [SampleSet("exact", x), SampleSet("partly", x[:1, :3])], {("exact", 1): 0.25}
    )
    sheet = np.asarray(Image.open(io.BytesIO(decoded(actual["image"]))).convert("RGB")).astype(
        float
    )
    # band: 5 rows of y beside the truth, then 4 for each of two sources; 3 samples, as many as the method has
    assert sheet.shape == (2 * (5 + 2 * 4), 5 * 3, 3) and actual["num_samples"] == 3
    np.testing.assert_allclose(
        sheet[13:17, 6:9, 0], 127.5 * (seen["x_true"][1, 0] + 1), atol=GREY_STEP / 2 + 0.5
    )
    assert tuple(sheet[13, 0]) == (0xB9, 0xCF, 0xE6)  # not measured
    mean = np.clip(127.5 * (x[1].mean(0)[0] + 1), 0, 255)
    np.testing.assert_allclose(sheet[18:22, :3, 0], mean, atol=GREY_STEP / 2 + 0.5)
    third = np.clip(127.5 * (x[1, 2, 0] + 1), 0, 255)
    np.testing.assert_allclose(sheet[18:22, 12:15, 1], third, atol=GREY_STEP / 2 + 0.5)
    spread = x[1].std(0, ddof=1)[0]
    # viridis(1)
    assert tuple(sheet[18:22, 3:6][np.unravel_index(spread.argmax(), spread.shape)]) == (
        253,
        231,
        37,
    )
    exact, partly = actual["measurements"][1]["rows"]
    assert exact == {"distance": "0.250", "clipped": round(float((np.abs(x[1]) > 1).mean()), 4)}
    assert partly == {"reason": "n/a (only the first 1 measurements)"}
    assert actual["measurements"][1]["spread"] == pytest.approx(spread.max())


def test_colours_stay_colours_and_classes_are_numbers():
    x = np.zeros((1, 2, 3, 2, 2))
    x[:, :, 0] = 1
    seen = {"x_true": x[:, 0], "y": np.eye(10)[[7]].reshape(1, 1, 1, 10)}
    actual = gallery_of(seen, [SampleSet("exact", x)], {})
    sheet = np.asarray(Image.open(io.BytesIO(decoded(actual["image"]))))
    assert tuple(sheet[2, 0]) == (255, 128, 128) and actual["measurements"][0]["class"] == 7


def test_large_images_show_fewer_samples_and_measurements():
    shown = {}
    for side in (8, 32, 128):
        x = np.zeros((16, 20, 1, side, side), np.float32)
        seen = {"x_true": x[:, 0], "y": x[:, 0]}
        actual = gallery_of(seen, [SampleSet(str(k), x) for k in range(6)], {})
        shown[side] = actual["num_samples"], len(actual["measurements"])
    assert shown[8] == (MOST_SAMPLES, 16) and shown[32] == (3, 16) and shown[128] == (3, 1)


# In a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(report, tmp_path_factory) -> dict:
    """What a reader's clicks show, in chromium."""
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if browser is None:
        pytest.skip("needs a browser: no chromium, chromium-browser or google-chrome on PATH")
    folder = tmp_path_factory.mktemp("browser")
    text = report.read_text().replace("<title>", f"{ERRORS}<title>", 1)
    probe = f'<script type="module">{PROBE.read_text()}</script>'
    (folder / "probed.html").write_text(text.replace("</body>", f"{probe}</body>"))
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    )
    flags += (
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1280,900",
        "--virtual-time-budget=20000",
    )
    command = [browser, *flags, "--dump-dom", (folder / "probed.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    actual = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert actual, f"the probe did not end: {dom[-500:]}"
    return json.loads(html.unescape(actual[1]))


def test_page_loads_without_errors_and_shows_its_figures(seen):
    assert seen["errors"] == []
    assert seen["widths"] == [40] * (len(FIGURES) + len(TASKS))
    assert seen["current"] == 1


def means(report: Path, task: str, metric: str) -> dict[str, float]:
    rows = csv.DictReader(io.StringIO((report.parent / "tables" / "summary.csv").read_text()))
    return {
        r["method"]: float(r["mean"])
        for r in rows
        if (r["task"], r["metric"]) == (task, metric) and r["mean"]
    }


def test_tables_sort_best_first_then_worst_first_then_as_they_were(seen, report):
    before, best, worst, after = seen["orders"]
    numbers = means(report, "gmm-phase", "energy")
    assert after == before and before[0] == "reference"
    for order, sign in ((best, 1), (worst, -1)):
        ranked = [sign * numbers[name] for name in order[: len(numbers)]]
        # cells hold at least two digits of their interval: neighbours that print alike may keep their order
        assert all(a <= b + 0.01 for a, b in pairwise(ranked))
        # failed, left out: at the end either way
        assert set(order[len(numbers) :]) == {"dps-n1000", "ods-single"}
    assert best[0] in ("reference", "oracle") and worst[0] == "unconditional"


def test_a_value_to_hit_sorts_by_the_distance_from_it(seen):
    shown = [abs(float(text) - 0.9) for text in seen["cellsByCoverage"] if text]
    assert shown == sorted(shown) and len(shown) == 6 and seen["byCoverage"] != seen["orders"][0]


def test_filters_hide_tasks_methods_and_metrics_everywhere(seen):
    tasks = [task for task in TASKS if task != "gmm-phase"]
    assert seen["tasks"] == seen["contents"] == tasks
    assert "dps" not in seen["methods"] + seen["overview"] + seen["rowsOfGallery"]
    assert {"oracle", "dps-n1000"} <= set(seen["methods"]) & set(seen["overview"]) & set(
        seen["rowsOfGallery"]
    )
    assert "energy" not in seen["metrics"] and "sw2-128" in seen["metrics"]
    assert len(seen["lengths"]) == 1  # as many columns in each row
    assert seen["restored"] == list(TASKS)


def test_gallery_shows_the_pictures_of_the_task_and_measurement(seen, report):
    for actual, task, i in (
        (seen["first"], "gmm-inpaint-box", 3),
        (seen["second"], "gmm-phase", 1),
    ):
        truth = read_tensors(report.parent / "tasks" / task / "observations.safetensors")[0][
            "x_true"
        ][i, 0].numpy()
        shown = np.array(actual["truth"], float).reshape(8, 8, 3)
        np.testing.assert_allclose(shown[..., 0], 127.5 * (truth + 1), atol=GREY_STEP / 2 + 0.5)
        x = read_tensors(report.parent / "runs" / task / "dps" / "seed0" / "samples.safetensors")[
            0
        ]["x"][i].numpy()
        mean = np.clip(127.5 * (x.mean(0)[0] + 1), 0, 255)
        shown = np.array(actual["means"]["dps"], float).reshape(8, 8, 3)
        np.testing.assert_allclose(shown[..., 0], mean, atol=GREY_STEP / 2 + 0.5)
    assert seen["first"]["sources"] == ["exact", *METHODS]
    # the box of 4 x 4 that is not measured
    assert seen["first"]["y"].count([0xB9, 0xCF, 0xE6]) == 16
    assert len(seen["second"]["y"]) == 12 * 12
    assert seen["first"]["reasons"] == {"ods-single": "n/a (only the first 3 measurements)"}
    assert seen["second"]["reasons"] == {"dps-n1000": FAILURE}
    assert set(seen["second"]["numCanvases"]) == {0, MOST_SAMPLES + 2}


def test_gallery_says_the_distance_of_the_measurement(seen, report):
    (task,) = [
        task
        for task in load(report.parent / "specs" / "suite.json").tasks
        if task.name == "gmm-phase"
    ]
    of_one = {s.method: s.value for s in task.scores if (s.metric, s.measurement) == ("energy", 1)}
    for method in ("reference", "oracle", "dps", "aps"):
        assert float(seen["second"]["distances"][method]) == pytest.approx(of_one[method], rel=5e-3)


def test_wide_tables_scroll_inside_themselves(seen):
    assert seen["first"]["scroll"] <= 0
