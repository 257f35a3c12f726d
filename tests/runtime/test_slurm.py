"""The profile for Slurm calls sbatch and squeue rightly; both are replaced by stand-ins."""

from __future__ import annotations

import os
import subprocess

import pytest

from bench.runtime.slurm import status, status_of, submit

SBATCH = """#!/bin/sh
for word in "$@"; do echo "$word" >> asked; done
case "$STAND_IN" in refuse) echo "invalid partition" >&2; exit 1;; esac
echo "12;cluster"
"""
SQUEUE = """#!/bin/sh
case "$STAND_IN" in
  forgotten) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1;;
  away) echo "Unable to contact slurm controller" >&2; exit 1;;
  *) echo "$STAND_IN";;
esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / ".snakemake/slurm").mkdir(parents=True)
    return tmp_path


def submitted(folder, *arguments: str) -> list[str]:
    submit(*arguments)
    words = (folder / "asked").read_text().splitlines()
    (folder / "asked").unlink()
    return words


def test_a_batch_is_submitted_and_its_number_printed(folder, capsys):
    words = submitted(folder, "runs_sample", "--mem=2000", "--gpus=0", "a script.sh")
    assert capsys.readouterr().out == "12\n"
    assert "--mem=2000" in words and "--job-name=runs_sample" in words
    assert not {"--gpus=0", "--exclusive"} & {*words}


def test_gpus_are_requested_and_a_clock_has_a_whole_node(folder):
    assert "--gpus=1" in submitted(folder, "runs_sample", "--gpus=1", "script.sh")
    assert "--exclusive" in submitted(folder, "clock_clock_pool", "--gpus=0", "script.sh")


def test_a_refusal_of_sbatch_is_reported(folder, monkeypatch):
    monkeypatch.setenv("STAND_IN", "refuse")
    with pytest.raises(SystemExit, match="error: sbatch: invalid partition"):
        submit("runs", "script.sh")


@pytest.mark.parametrize(("code", "expected"), [(0, "success"), (3, "failed")])
def test_a_batch_records_its_exit_status_for_the_time_when_slurm_has_forgotten_it(
    folder, monkeypatch, code, expected
):
    (folder / "a script.sh").write_text(f"exit {code}\n")
    words = submitted(folder, "runs", "a script.sh")
    (work,) = (word.removeprefix("--wrap=") for word in words if word.startswith("--wrap="))
    done = subprocess.run(["sh", "-c", work], env=os.environ | {"SLURM_JOB_ID": "12"})
    assert done.returncode == code
    monkeypatch.setenv("STAND_IN", "forgotten")
    assert status_of("12") == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("PENDING", "running"),
        ("RUNNING", "running"),
        ("COMPLETED", "success"),
        ("TIMEOUT", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("CANCELLED", "failed"),
        ("forgotten", "failed"),
        ("away", "running"),
    ],
)
def test_without_that_file_the_state_counts(folder, monkeypatch, state, expected):
    monkeypatch.setenv("STAND_IN", state)
    assert status_of("12") == expected


def test_the_end_of_a_failed_jobs_log_is_shown(folder, monkeypatch, capsys):
    monkeypatch.setenv("STAND_IN", "TIMEOUT")
    (folder / ".snakemake/slurm/12.log").write_text("\n".join(map(str, range(30))) + "\n")
    status("12")
    told = capsys.readouterr()
    assert told.out == "failed\n"
    assert told.err.startswith("Job 12 of Slurm failed;") and told.err.endswith("28\n29\n")
    assert "\n14\n" not in told.err
