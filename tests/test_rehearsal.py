"""A rehearsal of one task and two rows of the DPS suite, from stand-ins to the page, which cannot be published."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from helpers.in_process import run_suite
from helpers.repository import REPOSITORY

from bench.core.artefacts import read_csv, read_json
from bench.core.errors import UserError
from bench.core.papers import REHEARSAL_NOTE, is_rehearsal
from bench.plan.rehearsal import write_rehearsal
from bench.report.notes import REHEARSED
from bench.stages.publish import main as publish

TASKS, ROWS = ("ffhq-sr4",), ("dps-paper", "ddrm")


def small_suite() -> dict:
    """Return the suite `papers/dps_ffhq256` with a few of its tasks and rows."""
    content = yaml.safe_load((REPOSITORY / "config/papers/dps_ffhq256.yaml").read_text())
    for part in (content, content["rehearse"]):
        part["tasks"] = {name: x for name, x in part["tasks"].items() if name in TASKS}
        part["methods"] = {name: x for name, x in part["methods"].items() if name in ROWS}
    del content["restrict"], content["rehearse"]["restrict"], content["unknown"], content["metrics"]
    for entry in content["tasks"].values():
        entry.pop("settings")
    return content | {"name": "small", "metrics": {"stretched": {}}}


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> Path:
    """The folder of the results of a rehearsal."""
    folder, before = tmp_path_factory.mktemp("rehearsal"), Path.cwd()
    os.chdir(folder)
    try:
        Path("small.yaml").write_text(yaml.safe_dump(small_suite(), sort_keys=False))
        return folder / run_suite(write_rehearsal("small.yaml"))
    finally:
        os.chdir(before)


@pytest.mark.slow
def test_a_rehearsal_runs_to_its_page_which_calls_it_one(rehearsed):
    assert is_rehearsal(rehearsed)
    page = (rehearsed / "report.html").read_text()
    assert page.count(f"{REHEARSED}.") == 2 and "The paper, row by row" in page
    for name in ("tables/summary.csv", "tables/published.csv", "figures/sweep.csv"):
        assert read_csv(rehearsed / name)[1]["rehearsal"] == REHEARSAL_NOTE
    for name in ("summary.md", "distance.md", "verdict.md"):
        assert f"{REHEARSED}." in (rehearsed / "tables" / name).read_text()


@pytest.mark.slow
def test_its_numbers_are_shown_with_those_of_the_paper_and_marked(rehearsed):
    text = (rehearsed / "tables/published.md").read_text()
    assert REHEARSAL_NOTE in text
    rows = [line for line in text.splitlines() if line.startswith("| ffhq-sr4 | dps-paper |")]
    assert any("39.35" in row for row in rows) and all(
        "rehearsal: our number" in row for row in rows
    )
    (psnr,) = [row for row in rows if "| PSNR |" in row]
    assert "(psnr@stretched\\_sample)" in psnr or "(psnr@stretched_sample)" in psnr


@pytest.mark.slow
def test_its_networks_went_through_the_foreign_format(rehearsed):
    card = read_json(rehearsed / "priors/ffhq/card.json")
    # the published one has 94 million, and a sixteenth of the channels leaves a 256th of the weights
    assert 9e4 < card["num_parameters"] < 5e5 and card["settings"]["weights"] == "random"


@pytest.mark.slow
def test_publishing_it_is_refused(rehearsed, monkeypatch):
    monkeypatch.chdir(rehearsed.parents[1])
    with pytest.raises(UserError, match="small-rehearsal: is a rehearsal, with networks of random"):
        publish(str(rehearsed.relative_to(rehearsed.parents[1])), "--allow-dirty")
