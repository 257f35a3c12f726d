"""`python -m bench.cost.slurm`: run a suite on a Slurm of one node, and compare it with a run without Slurm.

Prints whether tensors have the same bits, how many jobs of Slurm there were and how long each took besides its work,
what happens to them when their run is killed, how soon a failure is reported, and whether jobs share a GPU. Needs root,
apt-get install slurm-wlm munge, and pip install "posterior-bench[slurm]".
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.shipped import suite_file
from bench.cost.chaos.kills import differing
from bench.cost.chaos.workshop import Workshop, seconds_until
from bench.cost.common import Say
from bench.cost.slurm.jobs import active_jobs, finished_jobs, gpu_spans
from bench.cost.slurm.node import one_node
from bench.plan.yaml_file import read_yaml
from bench.runtime.job import run

TRIALS = ("kill", "failure", "gpu")
LIMIT = 120.0  # seconds


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cost.slurm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", default="chaos", help="a name in config/, or a YAML file")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="cores of the node")
    parser.add_argument(
        "--only", action="append", choices=TRIALS, help="trials after the plain run"
    )
    parser.add_argument("--out", type=Path, help="folder for slurm.json and slurm.md")
    options = parser.parse_args(arguments)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        numbers = campaign(options, Path(folder).resolve(), say)
    if options.out:
        from bench.cost.record import record  # imports torch

        record(options.out, "slurm", numbers, lines)
    if not numbers["good"]:
        sys.exit(1)


def campaign(options: argparse.Namespace, folder: Path, say: Say) -> Json:
    """Run the suite without Slurm and with it, then do the trials that were asked for."""
    suite = suite_file(options.suite).resolve()
    name = read_yaml(suite)["name"]
    local = Workshop(folder / "local", suite, name, options.cores)
    begin = time.monotonic()
    if (ended := local.run()).status != 0:
        raise UserError(f"suite {name} fails without Slurm: {' '.join(ended.errors)}")
    found: Json = {"suite": name, "seconds_local": time.monotonic() - begin}
    say(f"suite {name} without Slurm: {found['seconds_local']:.0f} s")
    asked = options.only or TRIALS
    with one_node(folder / "slurm", options.cores) as environment:
        variables = {"SLURM_CONF": environment["SLURM_CONF"]}
        shop = Workshop(folder / "shop", suite, name, options.cores, "profiles/slurm", variables)
        found |= plain_run(shop, local, environment, say)
        if "kill" in asked:
            found["kill"] = killed_head(shop, local, environment, say)
        if "failure" in asked:
            found["failure"] = failing_job(shop, environment, say)
        if "gpu" in asked:
            found["gpu"] = shared_gpu(folder, environment, say)
    good = not found["differing"] and found.get("kill", {"good": True})["good"]
    good &= found.get("failure", 0.0) is not None and found.get("gpu", True)
    return found | {"good": good}


def plain_run(shop: Workshop, local: Workshop, environment: dict[str, str], say: Say) -> Json:
    """Run the suite on Slurm; print its jobs, and whether all files are as without Slurm."""
    begin = time.monotonic()
    ended = shop.run()
    if ended.status != 0:
        say(ended.text[-4000:])
        raise UserError("the suite fails on Slurm; its last lines are above")
    seconds = time.monotonic() - begin
    wrong = differing(shop.tensors(), local.tensors())
    absent = local.files() - shop.files()
    jobs = finished_jobs(shop.folder, environment)
    commands = sum(job.commands for job in jobs)
    for job in jobs:
        say(str(job))
    outside = sum(job.outside for job in jobs) / len(jobs)
    say(
        f"on Slurm: {seconds:.0f} s, {len(jobs)} jobs for {commands} commands, {outside:.1f} s a job before its first "
        f"command and after its last; files of tensors that differ: {len(wrong)}, files that are absent: {len(absent)}"
    )
    return {
        "seconds": seconds,
        "commands": commands,
        "jobs": [asdict(job) | {"outside": job.outside} for job in jobs],
        "differing": sorted(wrong | absent),
    }


def killed_head(shop: Workshop, local: Workshop, environment: dict[str, str], say: Say) -> Json:
    """Kill the run while a batch draws samples; its jobs have to end, and the same command has to finish the suite."""
    head = _begun(shop, environment)
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()
    ended = seconds_until(lambda: not active_jobs(environment), LIMIT)
    again = shop.run()
    wrong = differing(shop.tensors(), local.tensors())
    good = ended is not None and again.status == 0 and not wrong
    told = "none" if ended is None else f"{ended:.0f} s"
    say(
        f"run killed: its jobs ended after {told}; the same command then: {'all is there' if good else 'FAILED'}"
    )
    return {"seconds": ended, "differing": sorted(wrong), "good": good}


def failing_job(shop: Workshop, environment: dict[str, str], say: Say) -> float | None:
    """Return the seconds until a run reports that one of its jobs was cancelled; None if it does not."""
    head = _begun(shop, environment)
    job = active_jobs(environment)[0]
    subprocess.run(["scancel", job], env=environment, check=True)
    told = seconds_until(lambda: f"Job {job} of Slurm failed" in shop.log.read_text(), LIMIT)
    head.wait(LIMIT)
    say(f"job cancelled: told after {'NOTHING' if told is None else f'{told:.0f} s'}")
    return told


def shared_gpu(folder: Path, environment: dict[str, str], say: Say) -> bool:
    """Return whether four commands in two jobs that ask for the one GPU had it one after another."""
    spans = gpu_spans(folder, environment)
    apart = all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))
    say(f"GPU: {len(spans)} commands in two jobs had it {'one at a time' if apart else 'AT ONCE'}")
    return apart and len(spans) == 4


def _begun(shop: Workshop, environment: dict[str, str]) -> subprocess.Popen:
    """Start the suite from nothing, and return its process once a job draws samples."""
    shutil.rmtree(shop.results)
    head = shop.start()
    if seconds_until(lambda: bool(active_jobs(environment, "runs")), LIMIT) is None:
        raise UserError(f"no job draws samples; see {shop.log}")
    time.sleep(3)
    return head


if __name__ == "__main__":
    run(main, leased=False)
