"""Print a summary at the end of a run of the workflow: what is done, what failed and why, and which file to open.

Reads headers and sizes of files only and imports nothing heavy: it runs at the end of each `snakemake all`, also of one
that stopped half-way.
"""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.job_costs import read_log
from bench.core.layout import VERDICT, Layout
from bench.core.specs import SuiteSpec
from bench.core.text import duration

MISSING, OK, NOT_APPLICABLE = "missing", "ok", "n/a"
MOST = 12  # lines printed below a title; further ones are only counted


@dataclass(frozen=True)
class RunStatus:
    """How one run ended. status: "ok", "failed", "n/a" or "missing"; seconds: of sampling and of training."""

    task: str
    method: str
    seed: int
    status: str
    reason: str = ""
    made: float = 0.0
    sampling: float = 0.0
    training: float = 0.0


def print_summary(layout: Layout, started: float | None = None, log: str = "") -> None:
    """Print the summary of a suite's folder. started: time.time() at the workflow's start; log: only if it failed."""
    print("\n".join(summary(layout, started, log)))


def summary(layout: Layout, started: float | None = None, log: str = "") -> list[str]:
    """Return the lines of the summary; a suite without a spec or without any run has lines as well."""
    path = layout.spec("suite")
    lines = []
    if path.exists():
        spec = SuiteSpec.read(path)
        statuses = [*_statuses(layout, spec)]
        lines = [
            *_done(statuses, started),
            *_details(statuses),
            *_skipped(layout),
            *_references(layout, spec),
            *_partial(layout, statuses),
        ]
    took = [f"It took {duration(time.time() - started)}."] if started is not None else []
    ends = (*lines, *took, *_verdict(layout), *_stopped(layout), *_to_open(layout, log))
    return [f"{layout.root}:", *(f"  {line}" for line in ends)]


def _statuses(layout: Layout, spec: SuiteSpec) -> Iterator[RunStatus]:
    """Yield how each run of the suite ended; of a suite that only measures times, each run that was timed."""
    left_out = {tuple(pair) for pair in spec.left_out}
    pairs = [
        (task, method)
        for task in spec.tasks
        for method in spec.methods
        if (task, method) not in left_out
    ]
    runs = [(*pair, seed) for pair in pairs for seed in spec.seeds_of(pair[1])]
    runs = runs if spec.compares else spec.timed
    for task, method, seed in runs:
        files = layout.run(task, method, seed)
        path = files.samples if spec.compares else files.timing
        if not path.exists():
            yield RunStatus(task, method, seed, MISSING)
            continue
        header = _header(path) if spec.compares else json.loads(path.read_text())
        cost = (
            json.loads(files.cost.read_text()) if spec.compares and files.cost.exists() else header
        )
        seconds = (cost.get(key) or 0.0 for key in ("seconds", "train_seconds"))
        ended = header.get("status", OK), header.get("reason", "")
        yield RunStatus(task, method, seed, *ended, path.stat().st_mtime, *seconds)


def _done(statuses: list[RunStatus], started: float | None) -> list[str]:
    """Return how many runs there are, how many were made now, and how long they took."""
    counts = Counter(run.status for run in statuses)
    others = "".join(f", {number} {status}" for status, number in counts.items() if status != OK)
    new = sum(run.made >= started for run in statuses) if started is not None else None
    lines = [
        f"{counts[OK]} of {len(statuses)} runs succeeded{others}"
        + ("." if new is None else f"; {new} made now.")
    ]
    sampling, training = (
        sum(getattr(x, kind) for x in statuses) for kind in ("sampling", "training")
    )
    if sampling or training:
        lines.append(
            f"All runs together: {duration(sampling)} of sampling, {duration(training)} of training."
        )
    return lines


def _details(statuses: list[RunStatus]) -> list[str]:
    """Return the runs that failed, those that do not apply and those that are missing, by reason."""
    failed = [x for x in statuses if x.status not in (MISSING, OK, NOT_APPLICABLE)]
    lines = _listed(
        "Failed:",
        (f"{x.task} {x.method} seed {x.seed}: {' '.join(x.reason.split())}" for x in failed),
    )
    for status, title in ((NOT_APPLICABLE, "Not applicable:"), (MISSING, "Not made:")):
        tasks: dict[str, dict[str, None]] = {}
        for x in statuses:
            if x.status == status:
                tasks.setdefault(f"{x.method} {x.reason}".strip(), {})[x.task] = None
        lines += _listed(title, (f"{what}: {', '.join(names)}" for what, names in tasks.items()))
    return lines


def _skipped(layout: Layout) -> list[str]:
    """Return the data sets in which images were skipped: how many, how many are left, and the first with its fault."""
    lines = []
    for path in sorted(layout.data("x").parent.glob("*.safetensors")):
        header = _header(path)
        if number := header.get("num_skipped"):
            counts = ", ".join(f"{num} for {part}" for part, num in header["num_images"].items())
            lines.append(f"{path.stem}: {number} ({counts} are left), first {header['skipped'][0]}")
    return _listed("Images that were skipped:", lines)


def _references(layout: Layout, spec: SuiteSpec) -> list[str]:
    """Return the tasks whose reference draws failed their checks: they have no distance to the exact posterior."""
    lines = []
    for task in spec.tasks:
        path = layout.task(task).reference
        header = _header(path) if path.exists() else {}
        admitted = header.get("admitted") or []
        if header.get("kind") != "none" and not all(admitted):
            lines.append(f"{task}: {sum(admitted)} of {len(admitted)} measurements")
    return _listed("Reference draws that passed their checks for some measurements only:", lines)


def _partial(layout: Layout, statuses: Iterable[RunStatus]) -> list[str]:
    """Return the runs that succeeded but have measurements without a value in some metric, from summary.csv."""
    path = layout.table("summary.csv")
    if not path.exists():
        return []
    succeeded = {(x.task, x.method) for x in statuses if x.status == OK}
    reasons: dict[tuple[str, str], str] = {}
    with path.open(newline="") as file:
        for task, method, metric, *_, num_failed, reason in csv.reader(file):
            if (task, method) in succeeded and num_failed != "0":
                reasons.setdefault((task, method), f"{metric} {reason}")
    return _listed(
        "Measurements that failed:",
        (f"{' '.join(run)}: {reason}" for run, reason in reasons.items()),
    )


def _stopped(layout: Layout) -> list[str]:
    """Return the jobs that failed when they were last run, and why; jobs that were killed have left no reason."""
    costs = read_log(layout.job_log).values()
    # whole lines: what to do stands at their ends
    return _listed("Jobs that failed:", [f"{x.job}: {x.error}" for x in costs if x.error], 1000)


def _verdict(layout: Layout) -> list[str]:
    """Return the first three lines of verdict.md: what is best, whether distances can be trusted, what failed."""
    path = layout.table(VERDICT)
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix("- ").replace("\\", "") for line in lines[:3]]


def _to_open(layout: Layout, log: str) -> list[str]:
    """Return a line on what to do if the run failed, else one that names the file to open: page, times or figures."""
    if log:
        named = any(x.error for x in read_log(layout.job_log).values())
        what = (
            "mend what is named above"
            if named
            else f"no job could say why: it was killed, or memory or disk ran out; see {log}"
        )
        return [f"It stopped before the end: {what}. The same command then goes on from here."]
    page = next(
        (p for p in (layout.report, layout.table("timing.md"), layout.figures) if p.exists()), None
    )
    return [f"Open {page}"] if page else []


def _listed(title: str, lines: Iterable[str], longest: int = 160) -> list[str]:
    shown = [line if len(line) <= longest else f"{line[: longest - 3]}..." for line in lines]
    more = [f"  and {len(shown) - MOST} more"] if len(shown) > MOST else []
    return [title, *(f"  {line}" for line in shown[:MOST]), *more] if shown else []


def _header(path: Path) -> dict:
    """Return the header of a safetensors file, its values decoded, without reading and checking the rest."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            metadata = json.loads(file.read(length)).get("__metadata__", {})
    except (ValueError, OverflowError):
        return {"status": "failed", "reason": f"{path.name} is truncated; delete it and run again"}
    return {key: _decoded(value) for key, value in metadata.items()}


def _decoded(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value
