"""What jobs cost: the line that each adds to the log of its suite when it ends, and the tables that are committed.

The log is results/<suite>/jobs.log, with a line of JSON for each job that ended; of several lines for one job, the last
counts. It holds times, so it is no artefact: nothing depends on it, and half-written lines of killed jobs are skipped.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.errors import UserError
from bench.core.layout import COSTS
from bench.core.shipped import shipped

# environment variable: the log to which each command adds its line
WORK_LOG = "BENCH_WORK_LOG"
NUMBERS = ("seconds", "mib")  # columns of a committed table, after the job's name


@dataclass(frozen=True)
class JobCost:
    """What one job took.

    seconds: of its work, without its start; mib: its largest memory, 0 where it is not known; error: why it failed.
    """

    job: str  # as `job_name` says
    seconds: float
    mib: float
    cpu_seconds: float = 0.0
    error: str = ""

    @property
    def stage(self) -> str:
        return self.job.partition(" ")[0]

    @property
    def method(self) -> str:
        """Return the row of a job of one run; "" for others."""
        return method_of(self.job)


def job_name(words: Sequence[str]) -> str:
    """Return `sample runs/box/dps/seed0` for the words `sample results/default/specs/runs/box/dps/seed0.json`."""
    stage, *more = words
    names = [word.rpartition("/specs/")[2].removesuffix(".json") for word in more[:1]]
    return " ".join([stage, *names, *more[1:]])


def method_of(job: str) -> str:
    """Return the row in a job's name, `dps` in `sample runs/box/dps/seed0`; "" where it has none."""
    parts = job.partition(" ")[2].split("/")
    return parts[2] if len(parts) > 2 else ""


def add_to_log(log: str, cost: JobCost) -> None:
    """Add a line to a log; where the disk is full or cannot be written, the line is lost and the job goes on."""
    with contextlib.suppress(OSError), Path(log).open("a") as file:
        file.write(json.dumps(asdict(cost)) + "\n")


def read_log(log: Path) -> dict[str, JobCost]:
    """Return the last line of each job, by its name; {} where there is no log."""
    costs = {}
    for line in log.read_text(errors="replace").splitlines() if log.is_file() else ():
        with contextlib.suppress(ValueError, TypeError):
            cost = JobCost(**json.loads(line))
            costs[cost.job] = cost
    return costs


def costs_csv(costs: Iterable[JobCost]) -> str:
    """Return the text of a committed table: the jobs that succeeded, in the order of their names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *NUMBERS])
    for cost in sorted(costs, key=lambda cost: cost.job):
        if not cost.error:
            writer.writerow([cost.job, *(f"{getattr(cost, name):.4g}" for name in NUMBERS)])
    return text.getvalue()


def committed_costs(suite: str) -> dict[str, JobCost]:
    """Return what the jobs of a suite took when its costs were recorded; {} for a suite without a record."""
    try:
        path = shipped(str(COSTS / f"{suite}.csv"))
    except UserError:
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    costs = [JobCost(row["job"], float(row["seconds"]), float(row["mib"])) for row in rows]
    return {cost.job: cost for cost in costs}


def committed_suites() -> list[str]:
    """Return the names of the suites whose costs are recorded."""
    try:
        return sorted(path.stem for path in shipped(str(COSTS)).glob("*.csv"))
    except UserError:
        return []
