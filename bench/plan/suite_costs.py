"""The table of minutes, memory and disk that each suite takes, from the committed costs of its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bench.core.artefacts import read_json, write_bytes
from bench.core.errors import UserError
from bench.core.job_costs import JobCost, committed_costs, committed_suites
from bench.core.layout import COSTS
from bench.core.shipped import shipped
from bench.core.text import markdown_table, roughly
from bench.plan.forecast import START, time_on

CORES = 2
# jobs that one GPU would do, one at a time, and how many times as fast as a core: an estimate, not measured
ON_GPU, SPEEDUP = ("prior", "classifier", "reference", "train", "sample", "tune", "clock"), 8
COLUMNS = (
    "suite",
    "jobs",
    "on two cores",
    "longest job",
    "memory",
    "disk",
    "with a GPU (estimated)",
)
BEGIN, END = "<!-- what suites take: begin -->", "<!-- end -->"


def write_suite_table(page: Path) -> None:
    """Replace the table between its marks in a page; leave a page without marks as it is."""
    text = page.read_text() if page.is_file() else ""
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if between.search(text):
        made = f"{BEGIN}\n{suite_table()}\n{END}"
        write_bytes(page, between.sub(lambda _: made, text).encode())


def suite_table() -> str:
    """Return the table of the suites whose costs are recorded, cheapest first."""
    recorded = {name: list(committed_costs(name).values()) for name in committed_suites()}
    order = sorted(recorded, key=lambda name: seconds_on_cores(recorded[name]))
    return markdown_table(COLUMNS, [row_of(name, recorded[name]) for name in order], numeric=True)


def row_of(name: str, costs: list[JobCost]) -> tuple[str, ...]:
    """Return a suite's row."""
    longest = max(costs, key=lambda cost: cost.seconds)
    mib, disk = max(cost.mib for cost in costs), disk_of(name)
    return (
        f"`{name}`",
        str(len(costs)),
        roughly(seconds_on_cores(costs)),
        f"{roughly(longest.seconds)}, `{longest.job.partition(' ')[0]}`",
        f"{mib / 1024:.1f} GiB a job" if mib else "not recorded",
        f"{disk:.0f} MiB" if disk else "not recorded",
        roughly(seconds_with_gpu(costs)),
    )


def seconds_on_cores(costs: Iterable[JobCost]) -> float:
    """Return the seconds that jobs take on two cores, as if they could be shared out between them."""
    return time_on(CORES, ((cost.job, cost.seconds + START) for cost in costs))


def seconds_with_gpu(costs: Iterable[JobCost]) -> float:
    """Return the seconds that jobs take if a GPU does those ON_GPU, one after the other, and two cores the others."""
    costs = list(costs)
    on_gpu = [cost.seconds / SPEEDUP + START for cost in costs if cost.stage in ON_GPU]
    others = [(cost.job, cost.seconds + START) for cost in costs if cost.stage not in ON_GPU]
    return max(sum(on_gpu), time_on(CORES, others))


def disk_of(suite: str) -> float:
    """Return the MiB of a suite's folder when its costs were recorded; 0 where that is not known."""
    try:
        return read_json(shipped(str(COSTS / f"{suite}.csv.info.json"))).get("disk_mib", 0.0)
    except UserError:
        return 0.0
