"""The plain commands of a suite are the jobs that Snakemake plans, each after those whose outputs it reads."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from helpers.forked import run_module

from bench.plan import load
from bench.plan.commands import Job, jobs

REPOSITORY = Path(__file__).resolve().parents[2]
READ_BY = [("data", "prior"), ("prior", "observe"), ("observe", "sample"), ("clock", "pool")]
READ_BY += [
    ("pool", "timing"),
    ("sample", "evaluate"),
    ("reference", "evaluate"),
    ("evaluate", "tables"),
    ("tables", "report"),
]
READ_BY += [("figures", "report"), ("classifier", "observe")]


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["smoke", "gpu_timing_cpu", "tuning", "ods_toy", "claims"])
def test_commands_are_the_jobs_of_the_workflow(suite):
    words = ["snakemake", "all", "-n", "--forceall", "-p", "--cores", "2"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    done = run_module([*words, "--config", f"suite={suite}"], environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    planned = sorted(re.findall("python -m bench.stages.*", done.stdout + done.stderr))
    assert planned == sorted(map(str, jobs(load({"suite": suite}))))


@pytest.mark.parametrize("suite", ["smoke", "clock", "gpu_timing_cpu"])
def test_stages_come_after_those_whose_outputs_they_read(suite):
    listed = list(enumerate(job.stage for job in jobs(load({"suite": suite}))))
    last, first = (
        {stage: place for place, stage in listed},
        {stage: place for place, stage in reversed(listed)},
    )
    assert all(
        last[early] < first[late] for early, late in READ_BY if early in last and late in last
    )


def test_job_is_done_when_its_outputs_are_newer_than_its_spec(tmp_path):
    spec, output = tmp_path / "spec.json", tmp_path / "output.csv"
    job = Job("data", str(spec), (str(output),))
    spec.touch()
    assert not job.is_done
    output.touch()
    os.utime(spec, (1, 1))
    assert job.is_done
    assert not Job("report", str(spec)).is_done
