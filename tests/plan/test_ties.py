"""What a job depends on: its stage, its plug-ins, and nothing that no number depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import plan
from bench.core.registry import KINDS, PACKAGES, folders

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBERS = ("data", "prior", "classifier", "observe", "reference", "train", "sample")
WITHOUT_NUMBERS = ("runtime/lease", "runtime/stopwatch", "runtime/compiled_layers", "report/", "figures/", "stats/")


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return plan.load({"suite": "default"})


def inputs_of(suite: plan.Suite, rule: str) -> set[str]:
    task = "gmm-blur"
    of_plugins = [*suite.task_sources(task), *suite.dataset_sources("digits"), *suite.method_sources("dps")]
    return {*suite.sources(rule), *of_plugins}


@pytest.mark.parametrize("rule", NUMBERS)
def test_locks_clocks_reports_and_figures_rerun_no_numbers(suite, rule):
    inputs = inputs_of(suite, rule)
    assert not [path for path in inputs for part in WITHOUT_NUMBERS if f"bench/{part}" in path]


@pytest.mark.parametrize("rule", [*NUMBERS, "evaluate", "clock", "tune"])
def test_a_stage_depends_on_no_plug_in(suite, rule):
    places = {f"{folder}/" for kind in KINDS for folder in folders(kind)}
    plugins = [p for p in suite.sources(rule) if p.startswith(tuple(places)) and not Path(p).name.startswith("_")]
    assert not [path for path in plugins if "figures" not in path]


def test_the_stopwatch_is_an_input_of_the_clock(suite):
    assert any(path.endswith("runtime/stopwatch.py") for path in suite.sources("clock"))


def test_a_plug_in_is_an_input_of_its_own_jobs_only(suite):
    def has(paths, name):
        return any(path.endswith(f"/{name}.py") for path in paths)

    assert has(suite.task_sources("gmm-blur"), "operators/blur") and has(suite.task_sources("gmm-blur"), "priors/gmm")
    assert not has(suite.task_sources("gmm-sr2"), "operators/blur")
    assert has(suite.task_sources("gmm_map-denoise"), "priors/gmm")  # the teacher's
    assert has(suite.dataset_sources("digits"), "datasets/digits")
    assert not has(suite.dataset_sources("shapes"), "datasets/digits")
    assert {PACKAGES[kind] for kind in KINDS} >= {"bench.operators", "methods"}
