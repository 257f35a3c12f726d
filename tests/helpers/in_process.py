"""All jobs of a suite in this process, one after the other: what Snakemake would do, without the start of each job."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from bench.plan import load
from bench.plan.commands import jobs
from bench.plan.folder import write_specs
from bench.runtime.job import keep_memory


def run_suite(file: Path) -> Path:
    """Run the suite of a YAML file in the working directory; return the folder of its results."""
    suite = load({"suite": str(file)})
    write_specs(suite)
    keep_memory()  # as each job does
    for job in jobs(suite):
        main = importlib.import_module(f"bench.stages.{job.stage}").main
        with torch.set_grad_enabled(job.stage in ("train", "sample", "tune", "evaluate")):
            main(job.spec, *job.argument.split())
    return Path(suite.root)
