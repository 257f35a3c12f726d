"""What a job depends on: its stage, its plug-ins, and nothing that no number depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import plan
from bench.core.registry import KINDS, PACKAGES, folders
from bench.plan.inputs import Inputs

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBERS = ("data", "prior", "classifier", "observe", "reference", "train", "sample")
WITHOUT_NUMBERS = ("runtime/lease", "runtime/stopwatch", "runtime/compiled_layers", "report/", "figures/", "stats/")


@pytest.fixture
def inputs(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return Inputs(plan.load({"suite": "default"}))


def inputs_of(inputs: Inputs, rule: str) -> set[str]:
    task = "gmm-blur"
    of_plugins = [*inputs.task_sources(task), *inputs.dataset_sources("digits"), *inputs.method_sources("dps")]
    return {*inputs.sources(rule), *of_plugins}


@pytest.mark.parametrize("rule", NUMBERS)
def test_locks_clocks_reports_and_figures_rerun_no_numbers(inputs, rule):
    paths = inputs_of(inputs, rule)
    assert not [path for path in paths for part in WITHOUT_NUMBERS if f"bench/{part}" in path]


@pytest.mark.parametrize("rule", [*NUMBERS, "evaluate", "clock", "tune"])
def test_a_stage_depends_on_no_plug_in(inputs, rule):
    places = {f"{folder}/" for kind in KINDS for folder in folders(kind)}
    plugins = [p for p in inputs.sources(rule) if p.startswith(tuple(places)) and not Path(p).name.startswith("_")]
    assert not [path for path in plugins if "figures" not in path]


def test_the_stopwatch_is_an_input_of_the_clock(inputs):
    assert any(path.endswith("runtime/stopwatch.py") for path in inputs.sources("clock"))


def test_a_plug_in_is_an_input_of_its_own_jobs_only(inputs):
    def has(paths, name):
        return any(path.endswith(f"/{name}.py") for path in paths)

    assert has(inputs.task_sources("gmm-blur"), "operators/blur") and has(inputs.task_sources("gmm-blur"), "priors/gmm")
    assert not has(inputs.task_sources("gmm-sr2"), "operators/blur")
    assert has(inputs.task_sources("gmm_map-denoise"), "priors/gmm")  # the teacher's
    assert has(inputs.dataset_sources("digits"), "datasets/digits")
    assert not has(inputs.dataset_sources("shapes"), "datasets/digits")
    assert {PACKAGES[kind] for kind in KINDS} >= {"bench.operators", "methods"}
