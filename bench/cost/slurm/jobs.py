"""Jobs of Slurm: which are active, how long finished ones took, and when each command held the GPU."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.core.provenance import ROOT
from bench.cost.chaos.workshop import seconds_until

STAMP = re.compile(r"^\[(\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\]", re.MULTILINE)  # Snakemake's
GPU_SCRIPT = """\
cd {root}
for _ in 1 2; do
  {python} - <<END &
import os, time
from bench.runtime.lease import lease_gpu
with lease_gpu(1) as device:
    begin = time.time()
    time.sleep(2)
    print(device, begin, time.time(), flush=True)
END
done
wait
"""


@dataclass(frozen=True)
class SlurmJob:
    """A finished job, in seconds. waited: in the queue; took: from start to end; worked: from first to last command."""

    name: str
    state: str
    waited: float
    took: float
    worked: float
    commands: int

    @property
    def outside(self) -> float:
        """Return the seconds of the job before its first command and after its last."""
        return self.took - self.worked

    def __str__(self) -> str:
        return (
            f"{self.name:40} {self.state}: waited {self.waited:3.0f} s, took {self.took:3.0f} s, of that "
            f"{self.worked:3.0f} s from first to last of {self.commands} commands"
        )


def active_jobs(environment: dict[str, str], prefix: str = "") -> list[str]:
    """Return the numbers of jobs that wait or run; with a prefix, only those that run and whose name begins with it."""
    command = ["squeue", "--noheader", "--format=%i %T %j"]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    jobs = [line.split(maxsplit=2) for line in lines.splitlines()]
    return [
        number
        for number, state, name in jobs
        if not prefix or (name.startswith(prefix) and state == "RUNNING")
    ]


def finished_jobs(folder: Path, environment: dict[str, str]) -> list[SlurmJob]:
    """Return the jobs of a run in `folder`, ordered by number."""
    command = ["scontrol", "show", "jobs", "--oneliner"]
    text = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    return [_job(folder, dict(re.findall(r"(\w+)=(\S*)", line))) for line in text.splitlines()]


def _job(folder: Path, facts: dict[str, str]) -> SlurmJob:
    submitted, begin, end = (
        datetime.fromisoformat(facts[name]) for name in ("SubmitTime", "StartTime", "EndTime")
    )
    log = folder / ".snakemake" / "slurm" / f"{facts['JobId']}.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    stamps = [datetime.strptime(stamp, "%a %b %d %H:%M:%S %Y") for stamp in STAMP.findall(text)]
    worked = (stamps[-1] - stamps[0]).total_seconds() if stamps else 0.0
    waited, took = (begin - submitted).total_seconds(), (end - begin).total_seconds()
    commands = len(re.findall(r"^Shell command: ", text, re.MULTILINE))
    return SlurmJob(facts["JobName"], facts["JobState"], waited, took, worked, commands)


def gpu_spans(folder: Path, environment: dict[str, str]) -> list[tuple[float, float]]:
    """Return begin and end of each GPU lease, in order: two jobs ask for a GPU, with two commands each."""
    place, script = folder / "gpu", folder / "gpu.sh"
    place.mkdir()
    script.write_text(GPU_SCRIPT.format(root=ROOT, python=sys.executable))
    command = [
        sys.executable,
        "-m",
        "bench.runtime.slurm",
        "submit",
        "gpu",
        "--gpus=1",
        str(script),
    ]
    paths = environment | {"PYTHONPATH": str(ROOT)}
    for _ in range(2):
        subprocess.run(command, cwd=place, env=paths, check=True, capture_output=True)
    seconds_until(lambda: not active_jobs(environment), 60)
    time.sleep(1)
    lines = [line for log in place.rglob("*.log") for line in log.read_text().splitlines()]
    return sorted((float(words[1]), float(words[2])) for words in map(str.split, lines))
