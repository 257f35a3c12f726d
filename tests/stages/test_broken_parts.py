"""A part of a suite that fails empties the cells that depend on it, with a reason; all others are made."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch
from helpers.in_process import run_job

from bench import plan
from bench.core.artefacts import read_csv, read_header, read_tensors, write_json
from bench.core.errors import Broken
from bench.core.retries import retry_file
from bench.plan.folder import check_artefacts
from bench.plan.rules import Rules
from bench.stages import data as data_stage
from bench.stats.results import load
from bench.stats.summary import summarise

SUITE = """
name: parts
seeds: [0]
num_measurements: 2
num_samples: 4
num_reference: 8
rows_per_chunk: 64
datasets: {digits: {}}
priors:
  atoms: {family: atoms, dataset: digits}
  bad: {family: edm, dataset: digits, pipeline: checkpoint}
tasks: {atoms-denoise: {operator: denoise, sigma_y: 0.5}, bad-denoise: {operator: denoise, sigma_y: 0.5}}
methods: {oracle: {}, unconditional: {}}
"""
STAGES = ("data", "prior", "observe", "reference", "sample", "evaluate", "grid", "tables")


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> Rules:
    """The rules of a suite with a good prior and a checkpoint that cannot be read, after all of its jobs."""
    folder = tmp_path_factory.mktemp("suite")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "parts.yaml").write_text(SUITE)
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint/model_index.json").write_text("no json")
        rules = Rules(plan.load({"suite": "parts.yaml"}))
        for path, spec in rules.specs.items():
            spec.write(path)
        for stage in STAGES:
            for case in rules.all[stage].cases:
                assert run_job(stage, rules.spec_path(stage, case)) == 0
        yield rules


def test_the_next_run_finds_all_in_order_and_tries_the_part_again(rules):
    check_artefacts(rules)
    tried = [path for path in rules.made(*STAGES[:-1]) if retry_file(path).exists()]
    assert tried == [str(rules.suite.layout.prior("bad", "edm"))]


def test_cells_that_depend_on_it_have_the_reason(rules):
    layout = rules.suite.layout
    header = read_header(layout.run("bad-denoise", "oracle", 0).samples)
    assert header["status"] == "failed" and header["reason"].startswith("prior bad: ")
    with pytest.raises(Broken, match="prior bad: "):
        read_tensors(layout.task("bad-denoise").measurements)
    assert read_header(layout.run("atoms-denoise", "oracle", 0).samples)["status"] == "ok"
    assert (layout.figures / "grid-bad-denoise.png").stat().st_size > 0


@pytest.mark.parametrize("method", ["reference", "oracle", "unconditional"])
def test_its_cells_have_the_reason_and_the_others_have_numbers(rules, method):
    lines = summarise(load(rules.suite.layout.spec("suite")))
    energy = {x.task: x for x in lines if (x.method, x.metric) == (method, "energy")}
    assert energy["atoms-denoise"].mean is not None
    bad = energy["bad-denoise"]
    assert bad.mean is None and bad.reason.startswith("failed (prior bad: ") and bad.num_failed == 2


def test_a_reference_that_fails_leaves_the_columns_that_do_without(rules, monkeypatch):
    layout, case = rules.suite.layout, {"task": "atoms-denoise"}
    monkeypatch.setattr("bench.task.posterior_of", lambda *_: 1 / 0)
    assert run_job("reference", rules.spec_path("reference", case)) == 0
    header = read_header(layout.task("atoms-denoise").reference)
    assert header["admitted"] == [False] * 2 and "ZeroDivisionError" in header["reasons"][0]
    monkeypatch.undo()
    assert run_job("evaluate", rules.spec_path("evaluate", case)) == 0
    text, _ = read_csv(layout.task("atoms-denoise").metrics)
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["method"] == "oracle"]
    values = {row["metric"]: row for row in rows if row["observation"] == "0"}
    assert values["psnr_mean"]["value"] and "ZeroDivisionError" in values["energy"]["reason"]


def test_a_data_set_that_cannot_be_read_is_said_by_all_that_rests_on_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {"root": "r", "dataset": "mine", "plugin": "folder"}
    data["parameters"] = {"path": "nowhere", "side": 8}
    write_json("r/specs/data.json", data)
    prior = {"root": "r", "prior": "p", "family": "atoms", "dataset": "mine"}
    write_json("r/specs/prior.json", prior)
    assert run_job("data", "r/specs/data.json") == run_job("prior", "r/specs/prior.json") == 0
    reasons = [
        read_header(Path("r", name))["broken"]
        for name in ("data/mine.safetensors", "priors/p/atoms.safetensors")
    ]
    assert reasons[0] == reasons[1] and reasons[0].startswith("data set mine: ")
    assert retry_file("r/data/mine.safetensors").exists()
    assert not retry_file("r/priors/p/atoms.safetensors").exists()


@pytest.mark.parametrize("value", [255.0, float("nan")])
def test_images_that_are_none_are_refused_and_not_blamed_on_methods(value):
    good = {"train": torch.zeros(2, 1, 8, 8), "train_id": torch.arange(2) + 300}
    assert data_stage.images(good) is good
    with pytest.raises(ValueError, match="train has values that are not finite, or far beyond"):
        data_stage.images(good | {"train": torch.full((2, 1, 8, 8), value)})
