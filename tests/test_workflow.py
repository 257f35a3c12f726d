"""The workflow: which jobs there are, what reruns when something changes, and what happens when a run is killed.

Snakefile, profile and bench/ are the real ones, in a copy of the repository where each job is a stub that writes its
files at once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from helpers.forked import run_module
from helpers.repository import (
    METHOD,
    TRAINABLE,
    command,
    copy_of_the_repository,
    edit,
    environment_of,
    jobs,
    replace_jobs_by_stubs,
    replace_methods_by_stubs,
    run_to_the_end,
    snakemake,
    write_suite,
)

from bench.core.artefacts import read_json, write_json
from bench.core.results import FIGURES

SUITE = """
name: tiny
claims: true
seeds: [0]
num_measurements: 2
num_samples: 2
num_reference: 2
rows_per_chunk: 8
datasets: {digits: {}}
priors: {gmm: {family: gmm, dataset: digits, num_components: 2, shrinkage: 1, floor: 0.01}}
tasks:
  gmm-denoise: {operator: denoise, sigma_y: 0.5}
  gmm-inpaint-box: {operator: inpaint-box, box: 4, sigma_y: 0.1}
methods: {one: {}, two: {}, two-fast: {num_steps: 5}, pays: {}}
restrict: {pays: {tasks: [gmm-denoise]}}
"""
# of all runs together
SHOWN = {"tables": 1, "published": 1, "claims": 1, "figure": len(FIGURES), "report": 1}
JOBS = {
    "data": 1,
    "prior": 1,
    "observe": 2,
    "reference": 2,
    "train": 1,
    "sample": 7,
    "evaluate": 2,
    "grid": 2,
    **SHOWN,
}
AFTER_A_RUN = {"evaluate": 2, "grid": 2, **SHOWN}
OF_ONE_TASK = {"evaluate": 1, "grid": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A repository in which the tiny suite was run."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("finished"), SUITE)
    replace_jobs_by_stubs(folder)
    replace_methods_by_stubs(folder)
    assert jobs(folder) == JOBS
    printed = run_to_the_end(folder)
    assert (
        "python -m bench.stages.sample results/tiny/specs/runs/gmm-denoise/two-fast/seed0.json"
        in printed
    )
    return folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of it, times of files included."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_second_run_has_nothing_to_do_and_says_so(folder):
    done = snakemake(folder)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


def test_a_suite_beside_published_rows_draws_only_its_own(folder):
    """And observes the published measurements again, whose hash is in the spec that the job gets."""
    published = folder / "results/reference/tiny"
    published.mkdir(parents=True)
    (published / "summary.csv").write_text("task,method,metric,mean,low,high,num_failed,reason\n")
    (published / "values.csv.gz").write_bytes(b"")
    sha256 = {"gmm-denoise": "a", "gmm-inpaint-box": "b"}
    write_json(published / "provenance.json", {"observations_sha256": sha256})
    for name in ("other", "tiny"):
        text = SUITE.replace("tiny", name).replace(
            "one: {}, two: {}, two-fast: {num_steps: 5}, ", ""
        )
        (folder / f"config/{name}.yaml").write_text(
            text + f"beside: {'true' if name == 'tiny' else 'tiny'}\n"
        )
    of_pays = {"train": 1, "sample": 1, "evaluate": 2, "grid": 2, **SHOWN}
    assert jobs(folder, "config/other.yaml") == {
        "data": 1,
        "prior": 1,
        "observe": 2,
        "reference": 2,
        **of_pays,
    }
    run_to_the_end(folder)
    assert read_json(folder / "results/tiny/specs/suite.json")["beside"] == "tiny"
    assert (
        read_json(folder / "results/tiny/specs/tasks/gmm-denoise.json")["published_sha256"] == "a"
    )


def test_reproduce_compares_a_finished_suite_each_time_it_is_asked_and_runs_nothing_else(folder):
    _, _, *words = ["reproduce" if word == "all" else word for word in command()]
    for _ in range(2):
        done = run_module(words, folder, environment_of(folder))
        assert done.returncode == 0, done.stdout + done.stderr
        assert (
            "python -m bench.stages.reproduce results/tiny/specs/suite.json"
            in done.stdout + done.stderr
        )
    assert jobs(folder) == {}


def test_without_the_record_of_snakemake_a_changed_setting_stops_with_one_line(folder):
    shutil.rmtree(folder / ".snakemake")
    assert jobs(folder) == {}
    write_suite(folder, SUITE.replace("num_steps: 5", "num_steps: 6"))
    before = {path: path.read_bytes() for path in folder.rglob("results/**/*.json")}
    done = snakemake(folder, "-n")
    said = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert done.returncode != 0 and "runs/gmm-denoise/two-fast/seed0.json: settings differs" in said
    assert "(and 1 other jobs)" in said and "delete results/tiny/runs/gmm-denoise/two-fast" in said
    assert {path: path.read_bytes() for path in folder.rglob("results/**/*.json")} == before
    for task in ("gmm-denoise", "gmm-inpaint-box"):
        shutil.rmtree(folder / f"results/tiny/runs/{task}/two-fast")
    assert jobs(folder)["sample"] == 2


def test_each_job_has_one_thread(folder):
    assert read_json(folder / "results/tiny/tables/summary.csv.info.json")["threads"] == "1"


def test_touching_sources_or_specs_reruns_nothing(folder):
    for path in [
        *folder.glob("methods/*.py"),
        *folder.rglob("bench/**/*.py"),
        *folder.rglob("specs/**/*.json"),
    ]:
        os.utime(path)
    assert jobs(folder) == {}


def test_changing_a_method_reruns_its_runs_only(folder):
    (folder / "methods/two.py").write_text(METHOD + "    zeta: float = 1.0\n")
    assert jobs(folder) == {"sample": 4, **AFTER_A_RUN}  # two and two-fast on two tasks


def test_changing_a_stage_reruns_what_it_makes(folder):
    edit(folder / "bench/stages/tables.py")
    assert jobs(folder) == {"tables": 1, "report": 1}


def test_a_corrected_published_number_reruns_the_jobs_that_show_it(folder):
    path = folder / "results/published/dps.csv"
    path.write_text(path.read_text().replace("39.35", "39.36"))
    assert jobs(folder) == {"published": 1, "report": 1}


def test_a_state_is_kept_while_what_it_depends_on_stays(folder):
    sampling = {"observe": 2, "reference": 2, "sample": 7, **AFTER_A_RUN}
    write_suite(
        folder,
        SUITE.replace("num_samples: 2\nnum_reference: 2", "num_samples: 3\nnum_reference: 3"),
    )
    assert jobs(folder) == sampling
    write_suite(folder, SUITE.replace("pays: {}", "pays: {num_steps: 3}"))
    assert jobs(folder) == {"train": 1, "sample": 1, **AFTER_A_RUN, **OF_ONE_TASK}
    write_suite(folder, SUITE)
    (folder / "methods/pays.py").write_text(TRAINABLE + "# changed\n")
    assert jobs(folder) == {"train": 1, "sample": 1, **AFTER_A_RUN, **OF_ONE_TASK}


def test_changing_a_family_of_priors_redoes_all_that_rests_on_it(folder):
    edit(folder / "bench/priors/gmm.py")
    assert jobs(folder) == {rule: count for rule, count in JOBS.items() if rule != "data"}


def test_a_student_is_made_from_its_teacher(folder):
    student = "map: {family: consistency, dataset: digits, teacher: gmm}"
    tasks = "  map-denoise: {operator: denoise, sigma_y: 0.5}\nmethods"
    write_suite(
        folder, SUITE.replace("floor: 0.01}", "floor: 0.01}, " + student).replace("methods", tasks)
    )
    added = {"prior": 1, "observe": 1, "reference": 1, "sample": 3, **AFTER_A_RUN, **OF_ONE_TASK}
    assert jobs(folder) == added
    assert snakemake(folder).returncode == 0
    edit(folder / "bench/priors/consistency.py")
    assert jobs(folder) == added
    write_suite(
        folder, (folder / "config/tiny.yaml").read_text().replace("shrinkage: 1", "shrinkage: 2")
    )
    assert jobs(folder)["prior"] == 2


def test_toys_are_drawn_one_by_one(folder):
    write_suite(folder, "name: toys\ntoys: {moons: {}, distance: {}}\n")
    assert jobs(folder) == {"toy": 2}
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "results/toys/figures/distance.pdf").exists() and jobs(folder) == {}
    write_suite(folder, "name: toys\ntoys: {moons: {width: 3}, distance: {}}\n")
    assert jobs(folder) == {"toy": 1}


def test_changing_settings_reruns_those_runs_only(folder):
    write_suite(folder, SUITE.replace("num_steps: 5", "num_steps: 6"))
    assert jobs(folder) == {"sample": 2, **AFTER_A_RUN}


def test_asking_for_columns_by_networks_trains_what_they_need_and_evaluates_anew(folder):
    write_suite(
        folder,
        SUITE
        + "metrics: {perceptual: {networks: [percept-digits-v1]}, sets: {extractors: [digits-cnn-v1]}}\n",
    )
    assert jobs(folder) == {"classifier": 1, **AFTER_A_RUN}


def test_settings_of_one_task_rerun_that_task_only(folder):
    write_suite(
        folder, SUITE.replace("sigma_y: 0.5", "sigma_y: 0.5, settings: {one: {num_steps: 3}}")
    )
    assert jobs(folder) == {"sample": 1, **AFTER_A_RUN, **OF_ONE_TASK}


def test_a_method_dropped_in_runs_alone(folder):
    (folder / "methods/three.py").write_text(METHOD)
    write_suite(folder, SUITE.replace("one: {}", "one: {}, three: {}"))
    assert jobs(folder) == {"sample": 2, **AFTER_A_RUN}


def test_deleted_artefacts_are_made_again(folder):
    for name in (
        "runs/gmm-denoise/one/seed0/samples.safetensors",
        "runs/gmm-denoise/two/seed0/cost.json",
        "figures/distance.png",
    ):
        (folder / "results/tiny" / name).unlink()
    planned = jobs(folder)
    assert planned["sample"] == 2 and planned["figure"] >= 1, planned


@pytest.mark.parametrize("arguments", [[], ["-n"]])
def test_a_truncated_artefact_stops_the_run_by_name(folder, arguments):
    name = "runs/gmm-denoise/one/seed0/samples.safetensors"
    path = folder / "results/tiny" / name
    path.write_bytes(path.read_bytes()[:-2])
    done = snakemake(folder, *arguments)
    (line,) = complaints(done)
    assert done.returncode != 0
    assert line.startswith(f"error: results/tiny/{name}: ") and line.endswith(
        "delete it and run the same command again"
    )


def complaints(done: subprocess.CompletedProcess) -> list[str]:
    """What was printed, less Snakemake's line on which profile it reads."""
    return [
        line for line in (done.stdout + done.stderr).splitlines() if line and "profile" not in line
    ]


def test_a_config_error_stops_the_run_in_one_line(folder):
    write_suite(folder, SUITE.replace("two-fast", "tow-fast").replace("tiny", "other"))
    done = snakemake(folder)
    assert done.returncode != 0 and not (folder / "results/other").exists()
    (line,) = complaints(done)
    assert line.startswith("error: config/tiny.yaml: methods.tow-fast: no module methods/tow.py; ")
    assert line.endswith("expected one of ods, one, pays, two; did you mean two?")


def test_a_configfile_is_a_suite_of_its_own(folder):
    (folder / "mine.yaml").write_text(
        SUITE.replace("tiny", "mine").replace(", two-fast: {num_steps: 5}", "")
    )
    words = ["snakemake", "--cores", "2", "all", "-n", "--configfile", "mine.yaml"]
    done = run_module(words, folder, environment_of(folder))
    assert (
        done.returncode == 0
        and len(re.findall(r"^Job \d+: sample", done.stdout + done.stderr, flags=re.MULTILINE)) == 5
    )


def test_tuning_is_a_job_for_each_method_and_task_that_the_suite_names(folder):
    (folder / "methods/two.py").write_text(
        METHOD + "    search: ClassVar[dict] = {'num_steps': 1}\n"
    )
    asked = "tune: {seconds: 9, num_measurements: 2, num_samples: 2, tasks: [gmm-denoise], methods: [two, two-fast]}\n"
    write_suite(folder, SUITE + asked)
    words = ["tuned" if word == "all" else word for word in command("-n")[2:]]
    done = run_module(words, folder, environment_of(folder))
    assert (
        len(re.findall(r"^Job \d+: tune ", done.stdout + done.stderr, flags=re.MULTILINE)) == 2
    ), done.stderr
    assert jobs(folder) == {"sample": 4, **AFTER_A_RUN}


def test_other_jobs_go_on_when_one_fails(folder):
    write_suite(folder, SUITE.replace("num_steps: 5", "num_steps: 6"))
    failing = "results/tiny/specs/runs/gmm-denoise/two-fast/seed0.json"
    assert snakemake(folder, STUB_FAILS=failing).returncode != 0
    assert jobs(folder) == {"sample": 1, **AFTER_A_RUN, **OF_ONE_TASK}


def test_a_killed_run_goes_on_with_the_same_command(folder):
    shutil.rmtree(folder / "results/tiny")
    environment = environment_of(folder, STUB_SECONDS="0.3")
    run = subprocess.Popen(
        command(), cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while (
        not list(folder.glob("results/tiny/tasks/*/observations.safetensors"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    run.kill()  # its jobs go on without it
    run.wait()
    assert snakemake(folder).returncode == 0
    assert jobs(folder) == {}


@pytest.mark.slow
def test_jobs_of_the_default_suite(tmp_path):
    expected = {
        "data": 2,
        "classifier": 2,
        "prior": 4,
        "observe": 8,
        "reference": 8,
        "train": 22,
        "sample": 67,
    }
    expected |= {"evaluate": 8, "grid": 8, **SHOWN}
    del expected["claims"]  # it quotes the published ledger
    assert jobs(copy_of_the_repository(tmp_path), suite="default") == expected
