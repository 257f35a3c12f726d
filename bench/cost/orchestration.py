"""Measure the share of a whole workflow's CPU seconds outside sampling, training and metrics.

The suite is run from nothing, in a folder of its own that is removed afterwards. All its processes are counted, even
those that outlive their parents; each command logs how long its own work took (`bench/runtime/job.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.job_costs import WORK_LOG, JobCost, read_log
from bench.core.provenance import ROOT
from bench.cost.common import Options, Say, at_most

MOST = 0.2
# sampling, training and metrics
WORK = ("prior", "classifier", "train", "reference", "sample", "evaluate", "clock")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True)
class Orchestration:
    """CPU seconds of a workflow with all its processes, and the part that is the commands' own work, by command."""

    total: float
    commands: dict[str, float]
    num_commands: int

    @property
    def work(self) -> float:
        return sum(seconds for name, seconds in self.commands.items() if name in WORK)

    @property
    def share(self) -> float:
        """Return the share of the workflow's CPU seconds outside sampling, training and metrics."""
        return 1 - self.work / self.total

    @property
    def others(self) -> float:
        """Return CPU seconds outside all commands' work: Snakemake, planning, starts and imports."""
        return self.total - sum(self.commands.values())


def measure(options: Options, say: Say) -> Json:
    """Return CPU seconds of the workflow, in total and by command."""
    result = run_suite(options.suite, options.cores)
    for line in format_orchestration(options.suite, options.cores, result):
        say(line)
    return {"suite": options.suite, "cores": options.cores, **asdict(result), "share": result.share}


def run_suite(suite: str, cores: int) -> Orchestration:
    """Run `snakemake all` of a suite from nothing."""
    name = f"cost-{suite}"
    results = ROOT / "results" / name
    shutil.rmtree(results, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file, log = Path(folder, f"{name}.yaml"), Path(folder, "work")
            file.write_text(renamed(suite, name))
            log.touch()
            command = ["snakemake", "--cores", str(cores), "all", "--config", f"suite={file}"]
            total = cpu_seconds_of(lambda: run_logged(command, log))
            return result_of(total, read_log(log).values())
    finally:
        shutil.rmtree(results, ignore_errors=True)


def run_logged(command: Sequence[str], log: Path) -> None:
    """Run a command whose jobs add to `log`; raise UserError with the end of its output if it fails."""
    environment = {**os.environ, WORK_LOG: str(log)}
    python, pipe = [sys.executable, "-m", *command], subprocess.PIPE
    done = subprocess.run(
        python, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        last = [line for line in done.stdout.splitlines() if line.strip()][-1:]
        raise UserError(
            f"{' '.join(command)}: ended with status {done.returncode}: {' '.join(last)}"
        )


def renamed(suite: str, name: str) -> str:
    """Return the text of the suite's file with another name, so that its results go into another folder."""
    path = ROOT / "config" / f"{suite}.yaml"
    if not path.is_file():
        raise UserError(
            f"--suite {suite}: {path.relative_to(ROOT)} does not exist; expected the name of a suite"
        )
    lines = path.read_text().splitlines(keepends=True)
    return "".join(f"name: {name}\n" if line.startswith("name:") else line for line in lines)


def result_of(total: float, costs: Iterable[JobCost]) -> Orchestration:
    """Add up what the commands logged."""
    commands: dict[str, float] = {}
    logged = list(costs)
    for cost in logged:
        commands[cost.stage] = commands.get(cost.stage, 0.0) + cost.cpu_seconds
    return Orchestration(total, commands, len(logged))


def cpu_seconds_of(work: Callable[[], object]) -> float:
    """Return CPU seconds, user and system, of all processes that `work` starts and of those that they start.

    A process that outlives its parent, such as the server that forks jobs, becomes a child of this one (Linux only).
    """
    if sys.platform != "linux":
        raise UserError(
            "orchestration: processes that outlive their parents can be counted on Linux only"
        )
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    with contextlib.suppress(ChildProcessError):  # raised when no child is left
        while True:
            os.wait()
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


def format_orchestration(suite: str, cores: int, result: Orchestration) -> list[str]:
    """Return the result as lines: seconds by command, and the shares."""
    ranked = sorted(result.commands.items(), key=lambda item: -item[1])
    lines = [
        f"{name:10} {seconds:8.1f} CPU-s" + ("" if name in WORK else "  *")
        for name, seconds in ranked
    ]
    starts = f"Snakemake, planning, and the starts of {result.num_commands} commands"
    lines.append(f"{'others':10} {result.others:8.1f} CPU-s  *  {starts}")
    return [
        f"snakemake --cores {cores} all, suite {suite}, from nothing: {result.total:.1f} CPU-s in all its processes.",
        *lines,
        (
            f"Share outside sampling, training and metrics (*): {100 * result.share:.1f} % "
            f"({at_most(100 * result.share, 100 * MOST)}); without data, tables and figures: "
            f"{100 * result.others / result.total:.1f} %."
        ),
    ]
