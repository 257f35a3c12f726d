"""The table of seconds and memory, from what the clock found."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.artefacts import Json
from bench.core.results import BASELINES
from bench.core.text import csv_text, rounded, shortened
from bench.report.tables import Cell, Row, Table, made_by
from bench.stats.results import SuiteResults

COLUMNS = ("task", "method", "m", "s", "seconds", "low", "high", "repeats", "cpu_share", "nfe", "nfe_vjp", "peak_bytes")
COLUMNS += ("joules", "what", "reason")
DISTURBED = 0.9  # of a core: a process that had less was not alone
EXPLAINED = (
    "Seconds of one call for one measurement and s samples, alone on the machine, after one call that is not timed: "
    "median over visits of the clock, and in brackets from the lower quartile of the quickest visit to the upper one of the "
    "slowest. Samples per second at the number of measurements in one call, doubled until that "
    "no longer helps, given in brackets. Memory: the most that the process held meanwhile, libraries and prior included. "
    "Break-even: from how many measurements on a trained method has spent less than the quickest untrained one."
)


def cost_table(suite: SuiteResults) -> Table:
    """A row for each task and method that was timed."""
    sizes = sorted({cell["s"] for timing in suite.timings for cell in timing.get("curve", [])})
    names = [*(f"seconds, s = {s}" for s in sizes), "samples per second", "peak MiB", "train_seconds", "break-even"]
    rows = [_row(timing, sizes, suite.timings) for timing in suite.timings]
    return Table("Seconds and memory", _header(suite), tuple((name, "") for name in names), tuple(rows))


def cost_notes(suite: SuiteResults) -> tuple[str, ...]:
    found = [x for x in suite.timings if any((c["cpu_share"] or 1) < DISTURBED for c in x.get("curve", []))]
    names = ", ".join(f"{x['task']} {x['method']}" for x in found)
    disturbed = f"Something else ran on the machine meanwhile, so these seconds are too long: {names}." if names else ""
    return (EXPLAINED, *((disturbed,) if disturbed else ()), *made_by(suite.origins))


def cost_csv(suite: SuiteResults) -> str:
    """Every cell: those of the curve, and the one of highest throughput."""
    rows = []
    for x in suite.timings:
        cells = [("curve", cell) for cell in x.get("curve", [])]
        cells += [("throughput", x["throughput"])] if x.get("throughput") else []
        rows += [(x["task"], x["method"], *_values(cell), what, "") for what, cell in cells]
        if not cells:
            rows.append((x["task"], x["method"], *[""] * (len(COLUMNS) - 3), _reason(x)))
    return csv_text(COLUMNS, rows)


def _values(cell: Json) -> tuple:
    numbers = [cell[key] for key in ("m", "s", "median", "low", "high", "repeats", "cpu_share", "nfe", "nfe_vjp")]
    return (*numbers, max(cell["peak"].values()), "" if cell["joules"] is None else cell["joules"])


def _header(suite: SuiteResults) -> str:
    machines = {", ".join(str(value) for value in x["machine"].values()) for x in suite.timings}
    precisions = {f"{x['precision']}, {x['threads']} thread" for x in suite.timings}
    return "; ".join([*sorted(machines), *sorted(precisions)])


def _row(timing: Json, sizes: Sequence[int], timings: Sequence[Json]) -> Row:
    name = f"{timing['task']}: {timing['method']}"
    if not timing.get("curve"):
        return Row(name, "", tuple(Cell("", reason=_reason(timing)) for _ in range(len(sizes) + 4)), _reason(timing))
    by_size = {cell["s"]: cell for cell in timing["curve"]}
    best = timing["throughput"]
    peak = max(max(cell["peak"].values()) for cell in (*timing["curve"], best)) / 2**20
    cells = [_seconds(by_size.get(s)) for s in sizes]
    cells += [Cell(f"{best['samples_per_second']:.3g} (m = {best['m']})"), Cell(f"{peak:.0f}")]
    cells += [Cell(f"{timing['train_seconds']:.3g}"), Cell(_break_even(timing, timings))]
    return Row(name, "", tuple(cells), "")


def _seconds(cell: Json | None) -> Cell:
    if cell is None:
        return Cell("", reason="n/a (not timed)")
    return Cell(*rounded(cell["median"], cell["low"], cell["high"]))


def _break_even(timing: Json, timings: Sequence[Json]) -> str:
    if not timing["train_seconds"]:
        return ""
    untrained = [
        x["curve"][-1]["median"]
        for x in timings
        if x["task"] == timing["task"] and x.get("curve") and not x["train_seconds"] and x["method"] not in BASELINES
    ]
    saved = min(untrained, default=0) - timing["curve"][-1]["median"]
    return f"{timing['train_seconds'] / saved:.0f}" if saved > 0 else "never"


def _reason(timing: Json) -> str:
    return shortened(f"{timing['status']} ({timing['reason']})")
