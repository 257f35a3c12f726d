"""The table of seconds and memory, from what the clock measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.core.artefacts import Json
from bench.core.results import BASELINES
from bench.core.text import csv_text, rounded, shortened
from bench.report.origins import made_by
from bench.report.table import Cell, Table, frame_of
from bench.stats.results import SuiteResults

COLUMNS = (
    "task",
    "method",
    "m",
    "s",
    "seconds",
    "low",
    "high",
    "repeats",
    "cpu_share",
    "nfe",
    "nfe_vjp",
    "peak_bytes",
)
COLUMNS += ("joules", "what", "reason")
ALONE = 0.9  # share of a core below which something else ran on the machine
EXPLAINED = (
    "Seconds: one call for one measurement and s samples, alone on the machine, after one call that is not timed; the "
    "median over visits of the clock, and in brackets the range from the lower quartile of the quickest visit to the "
    "upper quartile of the slowest. Samples per second: with as many measurements m in one call as the brackets say; "
    "m was doubled until that no longer helped. Memory: the most that the process held during the calls, libraries and "
    "prior included. Break-even: from this number of measurements on, a trained method with its training has taken "
    "less time than the quickest untrained one."
)


def cost_table(suite: SuiteResults) -> Table:
    """Return a row for each task and method that was timed."""
    sizes = sorted({cell["s"] for timing in suite.timings for cell in timing.get("curve", [])})
    columns = [
        *(f"seconds, s = {s}" for s in sizes),
        "samples per second",
        "peak MiB",
        "train_seconds",
        "break-even",
    ]
    rows, reasons = [], {}
    for timing in suite.timings:
        name = f"{timing['task']}: {timing['method']}"
        if timing.get("curve"):
            rows.append((name, _cells(timing, sizes, suite.timings)))
        else:
            reasons[name] = reason_of(timing)
            rows.append((name, [Cell(reason=reasons[name])] * len(columns)))
    return Table(
        "Seconds and memory", machines_of(suite.timings), frame_of(rows, columns), reasons=reasons
    )


def cost_notes(suite: SuiteResults) -> tuple[str, ...]:
    """Return the notes below the table, with a warning that names runs that were not alone on the machine."""
    disturbed = [
        x for x in suite.timings if any((c["cpu_share"] or 1) < ALONE for c in x.get("curve", []))
    ]
    names = ", ".join(f"{x['task']} {x['method']}" for x in disturbed)
    warning = (
        f"Something else ran on the machine during these timings, so the seconds are too long: {names}."
        if names
        else ""
    )
    return (EXPLAINED, *((warning,) if warning else ()), *made_by(suite.origins))


def cost_csv(suite: SuiteResults) -> str:
    """Return a line for each point of the curves, and for the batch with the most samples per second."""
    rows = []
    for timing in suite.timings:
        start = (timing["task"], timing["method"])
        cells = [("curve", cell) for cell in timing.get("curve", [])]
        cells += [("throughput", timing["throughput"])] if timing.get("throughput") else []
        rows += [(*start, *_numbers(cell), what, "") for what, cell in cells]
        rows += [] if cells else [(*start, *[""] * (len(COLUMNS) - 3), reason_of(timing))]
    return csv_text(COLUMNS, rows)


def machines_of(timings: Iterable[Json]) -> str:
    """Return the machines, precisions and numbers of threads that times were taken with, if any were."""
    timings = those_with_times(timings)
    machines = {", ".join(str(value) for value in timing["machine"].values()) for timing in timings}
    precisions = {f"{timing['precision']}, {timing['threads']} thread" for timing in timings}
    return "; ".join([*sorted(machines), *sorted(precisions)])


def those_with_times(timings: Iterable[Json]) -> list[Json]:
    """Return the timings of calls that ended well; all of them if there are none.

    The record of a call that failed is written by another process, which may not have used the device.
    """
    timings = list(timings)
    return [timing for timing in timings if timing["status"] == "ok"] or timings


def reason_of(timing: Json) -> str:
    """Return why a run has no times: `n/a (needs DECODER)`."""
    return shortened(f"{timing['status']} ({timing['reason']})")


def _numbers(cell: Json) -> tuple:
    numbers = [
        cell[key]
        for key in ("m", "s", "median", "low", "high", "repeats", "cpu_share", "nfe", "nfe_vjp")
    ]
    return (*numbers, max(cell["peak"].values()), "" if cell["joules"] is None else cell["joules"])


def _cells(timing: Json, sizes: Sequence[int], timings: Sequence[Json]) -> list[Cell]:
    by_size = {cell["s"]: cell for cell in timing["curve"]}
    best = timing["throughput"]
    peak = max(max(cell["peak"].values()) for cell in (*timing["curve"], best)) / 2**20
    cells = []
    for s in sizes:
        ends = [by_size[s][key] for key in ("median", "low", "high")] if s in by_size else []
        cells.append(Cell(*rounded(*ends)) if ends else Cell(reason="n/a (not timed)"))
    cells += [Cell(f"{best['samples_per_second']:.3g} (m = {best['m']})"), Cell(f"{peak:.0f}")]
    return [*cells, Cell(f"{timing['train_seconds']:.3g}"), Cell(_break_even(timing, timings))]


def _break_even(timing: Json, timings: Sequence[Json]) -> str:
    """Return training seconds over what each measurement saves against the quickest untrained method of the task."""
    if not timing["train_seconds"]:
        return ""
    untrained = [
        x["curve"][-1]["median"]
        for x in timings
        if x["task"] == timing["task"]
        and x.get("curve")
        and not x["train_seconds"]
        and x["method"] not in BASELINES
    ]
    saved = min(untrained, default=0) - timing["curve"][-1]["median"]
    return f"{timing['train_seconds'] / saved:.0f}" if saved > 0 else "never"
