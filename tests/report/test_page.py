"""The content of the page: numbers, pictures, files; test_page_in_browser.py opens it in a browser."""

from __future__ import annotations

import base64
import gzip
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.other_suites import write_pages
from helpers.synthetic_results import METHODS, TASKS, write_results
from PIL import Image

from bench.core.artefacts import read_tensors, write_tensors
from bench.core.errors import one_line
from bench.core.registry import names
from bench.core.results import FIGURES, SampleSet
from bench.report.page.attachments import LARGEST_PLAIN, attached
from bench.report.page.content import collect
from bench.report.page.gallery import MOST_SAMPLES, gallery_of
from bench.report.page.palette import KNOWN, MARKS, look_of
from bench.report.page.render import _pictures, render, with_code
from bench.stages import claims as claims_stage
from bench.stages import published as published_stage
from bench.stages import report as report_stage
from bench.stages import tables as tables_stage
from bench.stats.results import load

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


def test_the_head_states_how_many_measurements_tasks_have(report):
    text = report.read_text()
    assert f"{len(TASKS)} tasks, {len(METHODS)} methods, 16 measurements a task, 24 samples" in text


def test_every_csv_is_one_click_away(report):
    links = dict(re.findall(r'<a href="(data:[^"]+)" download="([^"]+)"', report.read_text()))
    actual = {name: decoded(href) for href, name in links.items()}
    folder, text = report.parent, report.read_text()
    for path in (folder / "tables").glob("*.csv"):
        is_large = path.stat().st_size > LARGEST_PLAIN
        data = gzip.decompress(actual[f"{path.name}.gz"]) if is_large else actual[path.name]
        assert data == path.read_bytes()
    # pictures of figures are files next to the page: with the grids they would be most of its bytes
    for stem in ("distance", "coverage", "grid-gmm-phase"):
        assert (
            f'href="figures/{stem}.csv"' in text and (folder / "figures" / f"{stem}.csv").exists()
        )


def test_attachments_of_equal_files_are_equal(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x\n" * LARGEST_PLAIN)
    assert attached(path) == attached(path)


def test_a_method_looks_the_same_in_every_suite_and_its_variants_share_its_colour():
    dps, variant = look_of("dps", "dps"), look_of("dps-n1000", "dps", 1)
    assert (dps.light, dps.dark) == (variant.light, variant.dark) and dps.mark != variant.mark
    assert look_of("mine", "mine") == look_of("mine", "mine")
    known = {look_of(name, name) for name in KNOWN}
    assert len(known) == len(KNOWN)  # no two look the same
    assert {look.mark for look in known} <= set(MARKS)


def test_known_methods_are_those_of_the_folder():
    """A new method goes to the end of KNOWN; one that is not there has a colour by its name."""
    assert set(KNOWN) | {"oracle", "unconditional"} <= set(names("method"))


def test_the_sprite_has_each_picture_at_its_place():
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
    assert shown[8] == (MOST_SAMPLES, 16) and shown[32][1] >= 8 and shown[128] == (5, 1)


def test_texts_of_a_suite_are_escaped(tmp_path):
    spec = write_results(tmp_path)
    script = "<script>alert(1)</script>"
    path = tmp_path / "runs" / "gmm-phase" / "dps-n1000" / "seed0" / "samples.safetensors"
    tensors, header = read_tensors(path)
    reason = one_line(
        type(f"E{script}|$x$", (ValueError,), {})(script)
    )  # the name is free text, too
    kept = {key: value for key, value in header.items() if key != "sha256"}
    write_tensors(path, tensors, kept | {"reason": reason})
    text = write_pages(spec).read_text()
    assert script not in text and "&lt;script&gt;" in text and "\\u003cscript" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and policy[1].startswith("default-src 'none'")
    assert not re.findall(
        r'(?:src|href)="(?:https?:)?//', re.sub(r'<a [^>]*href="https?://[^"]*"', "", text)
    )


def test_no_text_has_raw_backticks(report):
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", report.read_text(), flags=re.DOTALL)
    assert "`" not in re.sub(r"<[^>]*>", "", text)
    assert with_code("a `b < c` d") == "a <code>b &lt; c</code> d"


def test_a_compact_page_is_small_and_names_the_files_next_to_it(report):
    suite = load(report.parent / "specs" / "suite.json")
    text = render(collect(suite, "published"), compact=True)
    assert len(text) < 1e6 and len(text) < report.stat().st_size
    assert (
        'href="summary.csv"' in text
        and "data:text/csv" not in text
        and "data:application" not in text
    )


def test_a_figure_of_ones_own_is_shown_as_a_picture(report):
    suite = load(report.parent / "specs" / "suite.json")
    Image.new("RGB", (40, 20)).save(report.parent / "figures" / "budget.png")
    text = render(collect(replace(suite, figures={**suite.figures, "budget": {}})))
    assert 'id="figure-budget"' in text and "data:image/webp" in text


def test_many_pictures_and_large_tables_do_not_make_the_page_large(report, monkeypatch):
    """Galleries share what room there is, and a table that is too large is a link to its file."""
    content = collect(load(report.parent / "specs" / "suite.json"))
    size = sum(len(x["image"]) for x in _pictures(content, False)["galleries"].values())
    monkeypatch.setattr("bench.report.page.render.MOST_OF_GALLERIES", size // 20)
    monkeypatch.setattr("bench.report.page.render.MOST_ATTACHED", 0)
    text = render(content)
    assert 'href="tables/summary.csv"' in text and "data:application/gzip" not in text
    fewer = _pictures(content, False)
    assert sum(len(x["image"]) for x in fewer["galleries"].values()) < 0.8 * size
    assert fewer["strips"]
