"""Commit what the jobs of a suite took: for the forecast of a plan, and for the table in docs/suites.md."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.core.artefacts import write_csv
from bench.core.errors import UserError
from bench.core.job_costs import costs_csv, read_log
from bench.core.layout import COSTS, Layout
from bench.core.provenance import provenance
from bench.runtime.stopwatch import machine


def publish_costs(layout: Layout, suite: str, into: Path = COSTS) -> None:
    """Write `into`/<suite>.csv, a line for each job of the suite's log; UserError where there is no log."""
    costs = read_log(layout.job_log)
    if not costs:
        raise UserError(f"{layout.job_log}: holds no job; run the workflow, which writes it")
    disk = sum(path.stat().st_size for path in layout.root.rglob("*") if path.is_file())
    about = {
        "suite": suite,
        "disk_mib": round(disk / 2**20, 1),
        "processor": str(machine(torch.device("cpu")).get("model name", "")),
    }
    write_csv(
        into / f"{suite}.csv", costs_csv(costs.values()), about | {"provenance": provenance()}
    )
