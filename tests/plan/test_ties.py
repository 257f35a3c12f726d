"""A job depends on its stage, its plug-ins, and on nothing that cannot change its numbers.

First what the plan says, then what Snakemake would run after an edit, by dry runs in a copy of the repository with the
real stages, in which a tiny suite was run by stubs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.repository import (
    copy_of_the_repository,
    edit,
    jobs,
    messages,
    replace_jobs_by_stubs,
    run_to_the_end,
    write_suite,
)

from bench import plan
from bench.core.registry import KINDS, PACKAGES
from bench.core.results import FIGURES
from bench.plan.inputs import Inputs
from bench.plan.sources import hash_of, is_plugin, sources_of, stage_file

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBERS = ("data", "prior", "classifier", "observe", "reference", "train", "sample")
WITHOUT_NUMBERS = (
    "runtime/lease",
    "runtime/stopwatch",
    "runtime/compiled_layers",
    "report/",
    "figures/",
    "stats/",
)


@pytest.fixture
def inputs(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return Inputs(plan.load({"suite": "digits"}))


JOB = {"dataset": "digits", "prior": "gmm", "task": "gmm-blur", "method": "dps"}


@pytest.mark.parametrize("rule", NUMBERS)
def test_locks_clocks_reports_and_figures_rerun_no_numbers(inputs, rule):
    paths = inputs.sources(rule, JOB)
    assert not [path for path in paths for part in WITHOUT_NUMBERS if f"bench/{part}" in path]


@pytest.mark.parametrize("rule", [*NUMBERS, "evaluate", "clock", "tune"])
def test_a_stage_depends_on_no_plug_in(inputs, rule):
    of_stage = sources_of(stage_file(rule))
    assert not [path for path in of_stage if is_plugin(path) and "figures" not in path]


def test_the_stopwatch_is_a_source_of_the_clock(inputs):
    assert any(path.endswith("runtime/stopwatch.py") for path in inputs.sources("clock", JOB))


def test_plug_ins_are_inputs_and_the_other_sources_a_hash(inputs):
    plugins, sources = inputs.plugins("sample", JOB), inputs.sources("sample", JOB)
    assert [Path(path).stem for path in plugins] == ["blur", "gmm", "dps"]
    assert inputs.code("sample", JOB) == hash_of(path for path in sources if path not in plugins)


def test_a_plug_in_is_an_input_of_its_own_jobs_only(inputs):
    def has(paths, name):
        return any(path.endswith(f"/{name}.py") for path in paths)

    assert has(inputs.task_sources("gmm-blur"), "operators/blur") and has(
        inputs.task_sources("gmm-blur"), "priors/gmm"
    )
    assert not has(inputs.task_sources("gmm-sr2"), "operators/blur")
    assert has(inputs.task_sources("gmm_map-denoise"), "priors/gmm")  # the teacher's
    assert has(inputs.dataset_sources("digits"), "datasets/digits")
    assert not has(inputs.dataset_sources("shapes"), "datasets/digits")
    assert {PACKAGES[kind] for kind in KINDS} >= {"bench.operators", "methods"}


SUITE = """
name: tiny
claims: true
seeds: [0]
num_measurements: 2
num_samples: 4
num_reference: 16
rows_per_chunk: 8
datasets:
  digits: {}
priors:
  gmm: {family: gmm, dataset: digits, num_components: 3, shrinkage: 30, floor: 0.002}
  atoms: {family: atoms, dataset: digits}
tasks:
  gmm-denoise: {operator: denoise, sigma_y: 0.5}
  atoms-saturate: {operator: saturate, gain: 2.0, sigma_y: 0.5}
metrics:
  measured: {tasks: [gmm-denoise]}
restrict: {pays: {tasks: [gmm-denoise]}}
clock: {num_samples: [1], repeats: 5, tasks: [gmm-denoise], methods: [oracle]}
methods:
  oracle: {}
  dps: {num_steps: 5}
  pays: {}
"""
TRAINABLE = (
    REPOSITORY / "methods/unconditional.py"
).read_text() + "\n    def train(self, prior, problem, *, rng): ...\n"
FROM_TIMES = {"tables": 1, "published": 1, "claims": 1, "figure": len(FIGURES) + 1, "report": 1}
SHOWN = {"tables", "published", "claims", "figure", "grid", "report"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = copy_of_the_repository(tmp_path_factory.mktemp("finished"), SUITE)
    (folder / "methods/pays.py").write_text(TRAINABLE)
    shutil.copy(folder / "bench/metrics/total.py", folder / "bench/metrics/measured.py")
    replace_jobs_by_stubs(folder)
    run_to_the_end(folder)
    assert jobs(folder) == {}
    return folder


@pytest.fixture
def folder(finished: Path):
    """Yield the copy in which the suite was run, and undo what the test changed: hashes decide, not times of files."""
    before = {
        file: file.read_bytes()
        for part in ("bench", "methods", "config")
        for file in (finished / part).rglob("*.*")
    }
    yield finished
    for part in ("bench", "methods", "config"):
        for file in (finished / part).rglob("*.*"):
            if file not in before:
                file.unlink()
            elif file.read_bytes() != before[file]:
                file.write_bytes(before[file])


@pytest.mark.slow
@pytest.mark.parametrize(
    "files, expected",
    [
        ("runtime/lease runtime/compiled_layers runtime/progress", {}),
        ("runtime/stopwatch", {"clock": 1, "times": 1, **FROM_TIMES}),
        ("report/page/render papers/claims/dps", {"claims": 1, "report": 1}),
        ("figures/ranks", {"figure": 1, "report": 1}),
        (
            "figures/_style report/table",
            {"figure": len(FIGURES) + 1, "grid": 2, "tables": 1, "report": 1},
        ),
    ],
)
def test_an_edit_reruns_the_jobs_that_use_it_and_no_numbers(folder, files, expected):
    for file in files.split():
        edit(folder / f"bench/{file}.py")
    planned = jobs(folder)
    assert not {*NUMBERS, "evaluate"} & planned.keys()
    assert planned == expected


def of_runs(folder: Path) -> list[str]:
    """Return the planned jobs that are not of tables, figures and the page."""
    return sorted(
        message
        for message in messages(folder)
        if message.split()[0] not in {*SHOWN, "clock", "times"}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "file, expected",
    [
        ("methods/dps.py", ["evaluate atoms-saturate", "evaluate gmm-denoise", "sample atoms-saturate dps seed 0"]
         + ["sample gmm-denoise dps seed 0"]),
        ("methods/pays.py", ["evaluate gmm-denoise", *(f"{r} gmm-denoise pays seed 0" for r in ("sample", "train"))]),
        ("bench/operators/saturate.py", [f"{rule} atoms-saturate" for rule in ("evaluate", "observe", "reference")]
         + [f"sample atoms-saturate {method} seed 0" for method in ("dps", "oracle")]),
        ("bench/metrics/measured.py", ["evaluate gmm-denoise"]),
        ("bench/metrics/psnr.py", ["evaluate atoms-saturate", "evaluate gmm-denoise"]),
        ("bench/priors/atoms.py", ["evaluate atoms-saturate", "observe atoms-saturate", "prior atoms"]
         + ["reference atoms-saturate", *(f"sample atoms-saturate {method} seed 0" for method in ("dps", "oracle"))]),
    ],
)  # fmt: skip
def test_an_edit_of_a_plug_in_reruns_the_jobs_that_use_it(folder, file, expected):
    edit(folder / file)
    assert of_runs(folder) == expected


def copy_plugin(folder: Path, kind: str) -> None:
    """Copy the file of a plug-in of a kind to copied.py."""
    place, original, *_ = ADDITIONS[kind]
    shutil.copy(folder / place / f"{original}.py", folder / place / "copied.py")


# kind: folder, file to copy, line of the suite beside which to name it, how, the jobs
ADDITIONS = {
    "data set": ("bench/datasets", "shapes", "  digits: {}", "  copied: {}", []),
    # it has no task
    "prior": ("bench/priors", "atoms", "priors:", "  copied: {family: copied, dataset: digits}", []),
    "operator": (
        "bench/operators", "denoise", "tasks:", "  gmm-copied: {operator: copied, sigma_y: 0.5}",
        ["evaluate gmm-copied", "observe gmm-copied", "reference gmm-copied", "sample gmm-copied dps seed 0"]
        + ["sample gmm-copied oracle seed 0"],
    ),
    "metric": (
        "bench/metrics", "total", "metrics:", "  copied: {tasks: [atoms-saturate]}", ["evaluate atoms-saturate"],
    ),
    "figure": ("bench/figures", "ranks", "methods:", "figures: {copied: {}}", []),
    "method": (
        "methods", "unconditional", "methods:", "  copied: {}",
        ["evaluate atoms-saturate", "evaluate gmm-denoise"]
        + [f"sample {task} copied seed 0" for task in ("atoms-saturate", "gmm-denoise")],
    ),
}  # fmt: skip


@pytest.mark.slow
def test_files_that_no_suite_names_rerun_nothing(folder):
    for kind in ADDITIONS:
        copy_plugin(folder, kind)
    assert jobs(folder) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ADDITIONS)
def test_an_addition_reruns_no_job_of_the_others(folder, kind):
    copy_plugin(folder, kind)
    *_, beside, line, expected = ADDITIONS[kind]
    write_suite(
        folder,
        SUITE.replace(
            f"{beside}\n", f"{beside}\n{line}\n" if line[0] == " " else f"{line}\n{beside}\n"
        ),
    )
    assert of_runs(folder) == expected


def test_sources_are_found_from_another_folder_than_where_python_started(tmp_path):
    code = (
        "import os, sys; from bench.plan.sources import sources_of; os.chdir(sys.argv[1]); "
        "print(len(sources_of('methods/dps.py')))"
    )
    command = [sys.executable, "-c", code]
    counts = [
        subprocess.run([*command, str(folder)], cwd=REPOSITORY, capture_output=True, text=True)
        for folder in (REPOSITORY, tmp_path)
    ]
    assert counts[0].stdout == counts[1].stdout and int(counts[0].stdout) > 1, counts
