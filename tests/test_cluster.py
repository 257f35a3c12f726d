"""The profile for Slurm, with stand-ins for sbatch and squeue that start each job at once; jobs are stubs.

Needs the executor that the profile names. On a real Slurm: `python -m bench.cost.slurm`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from helpers.repository import (
    copy_of_the_repository,
    jobs,
    replace_jobs_by_stubs,
    replace_methods_by_stubs,
    snakemake,
)

pytestmark = pytest.mark.slow
pytest.importorskip("snakemake_executor_plugin_cluster_generic")

SUITE = """
name: tiny
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
methods: {one: {}, two: {}, pays: {}}
clock: {num_samples: [1], repeats: 5, visits: 2, tasks: [gmm-denoise]}
"""
SBATCH = """#!/bin/sh
id=$(( $(cat submitted 2>/dev/null | wc -l) + 1 ))
echo "$@" | head -1 >> submitted
for word in "$@"; do case "$word" in --wrap=*) work="${word#--wrap=}";; esac; done
( SLURM_JOB_ID=$id sh -c "$work" ) > .snakemake/slurm/$id.log 2>&1 < /dev/null &
echo $id
"""
SUBMIT = (
    "-m bench.runtime.slurm submit {name} --cpus-per-task={threads} --mem={resources.mem_mb} "
    "--time={resources.runtime} --gpus={resources.gpu}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = copy_of_the_repository(tmp_path_factory.mktemp("cluster"), SUITE)
    replace_jobs_by_stubs(folder)
    replace_methods_by_stubs(folder)
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/sh\necho RUNNING\n")):
        (folder / "stubs" / name).write_text(text)
        (folder / "stubs" / name).chmod(0o755)
    return folder


def on_slurm(folder: Path, **changes: str):
    options = ["--workflow-profile", "profiles/slurm", "--latency-wait", "5"]
    options += ["--seconds-between-status-checks", "1"]
    # `python` is a stub here
    options += ["--cluster-generic-submit-cmd", f"{sys.executable} {SUBMIT}"]
    options += ["--cluster-generic-status-cmd", f"{sys.executable} -m bench.runtime.slurm status"]
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return snakemake(folder, *options, PYTHONPATH=path, **changes)


def test_a_suite_is_run_in_a_few_batches(folder):
    number = sum(jobs(folder).values())
    done = on_slurm(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert jobs(folder) == {}
    submitted = (folder / "submitted").read_text().splitlines()
    assert len(submitted) <= 6 < number / 3
    (clock,) = (line for line in submitted if "--job-name=clock" in line)
    assert "--exclusive" in clock and sum("--exclusive" in line for line in submitted) == 1


def test_a_failing_batch_is_reported_with_its_log(folder):
    (folder / "methods/two.py").write_text((folder / "methods/two.py").read_text() + "# changed\n")
    failing = "results/tiny/specs/runs/gmm-denoise/two/seed0.json"
    done = on_slurm(folder, STUB_FAILS=failing)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "of Slurm failed" in told and "error: told to fail" in told
    assert on_slurm(folder).returncode == 0 and jobs(folder) == {}
