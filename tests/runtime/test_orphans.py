"""Jobs notice when the run that started them has ended."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import taken_over
from bench.core.artefacts import ArtefactError, write_json
from bench.runtime import orphans
from bench.runtime.orphans import RUN, Run, sign

REPOSITORY = Path(__file__).resolve().parents[2]
WATCHED = "import time; from bench.runtime.orphans import watch; watch(); time.sleep(60)"


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    """This process, as a run whose lock has an older run's name in it."""
    monkeypatch.setenv(RUN, "")
    path = tmp_path / "a suite" / ".lock"
    path.parent.mkdir()
    path.write_text("elsewhere 1 2, with more words than ours")
    lock = os.open(path, os.O_RDWR)
    sign(lock, path)
    os.close(lock)
    return Run.of_environment()


def test_a_run_that_goes_on_is_not_over(run):
    assert run.pid == os.getpid() and run.lock.read_text() == run.name
    assert not run.is_over


def test_a_command_given_by_hand_is_part_of_no_run(monkeypatch):
    monkeypatch.delenv(RUN, raising=False)
    assert Run.of_environment() is None


def test_a_run_is_over_when_its_process_is_gone_and_when_its_number_was_given_to_another(run):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert Run(run.host, ended.pid, run.started, run.lock).is_over
    assert Run(run.host, run.pid, "1", run.lock).is_over


def test_a_run_on_another_machine_is_over_when_another_took_the_lock(run):
    there = Run("another" + platform.node(), 1, "2", run.lock)
    assert there.is_over  # the lock has the name of `run`
    run.lock.write_text(there.name)
    assert not there.is_over
    run.lock.unlink()  # a file system that is away for a moment
    assert not there.is_over


def test_without_proc_a_process_is_asked_for_by_its_number():
    assert orphans._is_alive(os.getpid(), "")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not orphans._is_alive(ended.pid, "")


def test_a_job_is_killed_when_another_run_takes_the_lock(run):
    job = subprocess.Popen([sys.executable, "-c", WATCHED], cwd=REPOSITORY, env=os.environ)
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(1.5)
    run.lock.write_text("another run")
    assert job.wait(10) == -9


def test_a_job_whose_run_is_over_writes_nothing_even_before_it_is_killed(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(taken_over, "_conditions", [])
    monkeypatch.setattr(orphans, "_watch", lambda run, parent: None)  # as if it was stopped
    orphans.watch()
    write_json(tmp_path / "before.json", {})
    run.lock.write_text("another run")
    with pytest.raises(ArtefactError, match=r"late\.json: not written, since its run has ended"):
        write_json(tmp_path / "late.json", {})
    assert [path.name for path in tmp_path.glob("*.json*")] == ["before.json"]
