"""Leases of devices: distinct GPUs, a clock alone on the machine, and GPUs that a scheduler assigned."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.runtime import lease as leases
from bench.runtime.lease import FOLDER, VISIBLE, Busy, lease, lease_gpu

JOB = """
import sys, time
from bench.runtime.lease import lease_gpu
with lease_gpu(2) as device:
    print(device, time.monotonic(), flush=True)
    time.sleep(0.15)
    print(device, time.monotonic(), flush=True)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "leases"))
    monkeypatch.delenv(VISIBLE, raising=False)


def test_eight_jobs_on_two_devices_never_share_one():
    command = [sys.executable, "-c", JOB]
    root = Path(__file__).resolve().parents[2]
    jobs = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    spans: dict[str, list[tuple[float, float]]] = {}
    for job in jobs:
        (device, begin), (_, end) = (
            line.split() for line in job.communicate(timeout=60)[0].splitlines()
        )
        spans.setdefault(device, []).append((float(begin), float(end)))
    assert set(spans) == {"0", "1"} and sum(map(len, spans.values())) == 8
    for of_device in spans.values():
        of_device.sort()
        assert all(
            first[1] <= second[0] for first, second in zip(of_device, of_device[1:], strict=False)
        )


def test_a_scheduler_has_chosen():
    with lease_gpu(2, {VISIBLE: "5"}) as one, lease_gpu(2, {VISIBLE: "5"}) as other:
        assert one == other == "5"


def test_commands_in_one_job_of_slurm_do_not_share_its_gpus():
    given = {VISIBLE: "5,7", "SLURM_JOB_ID": "12"}
    with lease_gpu(2, given) as one, lease_gpu(2, given) as other:
        assert (one, other) == ("5", "7")
        with pytest.raises(Busy), lease_gpu(2, given, patience=0):
            pass
        with lease_gpu(2, {VISIBLE: "5", "SLURM_JOB_ID": "13"}, patience=0) as of_another_job:
            assert of_another_job == "5"  # numbers of one job say nothing of another's


def test_jobs_share_the_cpu_and_a_clock_has_it_alone():
    with lease() as one, lease() as other:
        assert one == other == "cpu"
        with pytest.raises(Busy, match="cpu: held by another job"), lease(alone=True, patience=0):
            pass
    with lease(alone=True), pytest.raises(Busy), lease(patience=0.1):
        pass
    with lease(alone=True, patience=0):  # given back
        pass


def test_a_killed_job_leaves_no_lease():
    hold = (
        "import time\nfrom bench.runtime.lease import lease\n"
        "with lease(alone=True):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", hold],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert job.stdout.readline() == b"held\n"
    job.kill()
    job.wait()
    begin = time.monotonic()
    with lease(alone=True, patience=5):
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("taken", ["link", "open to all", "file"])
def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch, taken):
    monkeypatch.delenv(FOLDER)
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    own = tmp_path / f"posterior-bench-{os.getuid()}"
    if taken == "link":
        own.symlink_to(tmp_path)
    elif taken == "file":
        own.touch()
    else:
        own.mkdir()
        own.chmod(0o777)
    assert leases._folder() != own


def test_without_any_folder_of_ones_own_there_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER, str(tmp_path / "file/leases"))
    with pytest.raises(UserError, match="no folder for the locks of jobs"), lease():
        pass
