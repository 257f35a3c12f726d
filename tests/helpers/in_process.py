"""Run all jobs of a suite in this process, one after the other, as Snakemake would, without starting processes."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import torch

from bench.plan import load
from bench.plan.commands import jobs
from bench.plan.folder import write_specs
from bench.runtime.job import keep_memory


def run_suite(file: Path, since: str = "") -> Path:
    """Run the suite of a YAML file in the working directory; return the folder of its results.

    since: the stage to begin with, where the files of those before it are there.
    """
    suite = load({"suite": str(file)})
    write_specs(suite)
    keep_memory()  # as each job does
    due = list(jobs(suite))
    first = next((i for i, job in enumerate(due) if job.stage == since), 0)
    for job in due[first:]:
        main = importlib.import_module(f"bench.stages.{job.stage}").main
        with torch.set_grad_enabled(job.stage in ("train", "sample", "tune", "evaluate")):
            main(job.spec, *job.argument.split())
    return Path(suite.root)


def run_job(stage: str, *arguments: str) -> int:
    """Run a job's command in this process, its plug-ins in a process of their own; return its exit status."""
    before = sys.argv
    sys.modules.pop(f"bench.stages.{stage}", None)  # as in a process of its own
    sys.argv = [stage, *arguments]
    try:
        with torch.enable_grad():  # what a stage sets of that ends with it
            runpy.run_module(f"bench.stages.{stage}", run_name="__main__")
    except SystemExit as end:
        print(end.code, file=sys.stderr)
        return 1 if end.code else 0
    finally:
        sys.argv = before
    return 0
