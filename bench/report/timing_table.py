"""The table of a suite that only measures times: per network row, per sample, per joule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.artefacts import Json
from bench.core.text import csv_text
from bench.report.cost_table import ALONE, machines_of, reason_of
from bench.report.table import Cell, Table, frame_of

COLUMNS = (
    "task", "method", "num_parameters", "m", "s", "nfe", "nfe_vjp", "seconds", "low", "high", "seconds_per_sample",
    "ms_per_nfe", "bare_ms_per_nfe", "ratio_to_bare", "samples_per_second", "ratio_to_batch_1", "peak_mib",
    "joules_per_sample", "first_call_seconds", "repeats", "stopped", "compile_seconds", "train_seconds", "cpu_share",
    "device", "precision", "driver", "status", "reason",
)  # fmt: skip
SHOWN = {  # column of the csv: title
    "num_parameters": "parameters, M", "m": "m", "s": "s", "nfe": "NFE", "nfe_vjp": "backward",
    "ms_per_nfe": "ms per NFE", "bare_ms_per_nfe": "bare", "ratio_to_bare": "ratio",
    "seconds_per_sample": "s per sample",
    "samples_per_second": "samples / s", "ratio_to_batch_1": "x batch 1", "peak_mib": "peak, MiB",
    "joules_per_sample": "J per sample", "train_seconds": "training, s", "cpu_share": "share of a core",
}  # fmt: skip

UNTRAINED = "Networks have random weights: these are times, and the samples mean nothing."
ON_CPU = (
    "These times were taken on a CPU and, as the numbers of parameters show, with fewer channels and smaller images "
    "than published. They test the code that runs on a GPU, and say nothing about the published networks."
)
DISTURBED = (
    f"Where the share of a core is below {ALONE}, other work ran on the machine: seconds are too long there, and their "
    "ratios to one another mean little."
)
EXPLAINED = (
    "A row is m measurements with s samples of each in one call; values are medians over calls, after one call that is "
    "not timed. NFE: rows forward through the network per sample; backward: rows of vector-Jacobian products per "
    "sample. ms per NFE: milliseconds of the whole call, including what went backward, divided by its forward rows; "
    "bare: the same for the network calls alone; ratio: the first divided by the second. The last row of a method is "
    "the batch with the most samples per second; x batch 1: that rate divided by the rate for one sample of one "
    "measurement. n/a: not measured here."
)


def timing_rows(timings: Sequence[Json]) -> list[Json]:
    """Return a row for each number of samples of one measurement, and one for the batch with the best rate."""
    return [row for timing in timings for row in _rows(timing)]


def timing_csv(timings: Sequence[Json]) -> str:
    """Return every row with all of COLUMNS."""
    return csv_text(
        COLUMNS, [[row.get(column) for column in COLUMNS] for row in timing_rows(timings)]
    )


def timing_table(timings: Sequence[Json]) -> Table:
    """Return every row with the columns of SHOWN."""
    rows, reasons = [], {}
    for row in timing_rows(timings):
        name = f"{row['task']}: {row['method']}"
        if row["status"] != "ok":
            reasons[name] = reason_of(row)
        cells = [
            Cell(reason=reasons[name]) if name in reasons else Cell(_shown(row, column))
            for column in SHOWN
        ]
        rows.append((name, cells))
    return Table("Times", machines_of(timings), frame_of(rows, SHOWN.values()), reasons=reasons)


def timing_notes(timings: Sequence[Json]) -> list[str]:
    """Return the notes below the table."""
    on_cpu = all(timing["device"] == "cpu" for timing in timings)
    cells = [cell for x in timings if x.get("curve") for cell in (*x["curve"], x["throughput"])]
    disturbed = any((cell["cpu_share"] or 1) < ALONE for cell in cells)
    return [
        UNTRAINED,
        *([ON_CPU] if on_cpu else []),
        *([DISTURBED] if disturbed else []),
        EXPLAINED,
    ]


def _rows(timing: Json) -> Iterator[Json]:
    whole = {key: timing.get(key) for key in (*COLUMNS[:3], "precision", "status", "reason")}
    whole |= {"device": timing["machine"]["device"], "driver": timing["machine"].get("driver")}
    whole |= {
        "train_seconds": timing["train_seconds"],
        "compile_seconds": timing.get("compile_seconds"),
    }
    if not timing.get("curve"):
        yield whole
        return
    alone = next((1 / cell["median"] for cell in timing["curve"] if cell["s"] == 1), None)
    for cell in timing["curve"]:
        yield whole | _numbers(cell, alone)
    yield whole | _numbers(timing["throughput"], alone) | {"stopped": timing["stopped"]}


def _numbers(cell: Json, alone: float | None) -> Json:
    """Return the numbers of one size of batch; alone: samples per second of one sample of one measurement."""
    samples, bare = cell["m"] * cell["s"], cell.get("bare")
    rows, rate = cell["nfe"] * samples, samples / cell["median"]
    return {
        **{
            key: cell[key]
            for key in ("m", "s", "nfe", "nfe_vjp", "low", "high", "repeats", "cpu_share")
        },
        "seconds": cell["median"],
        "seconds_per_sample": cell["median"] / samples,
        "ms_per_nfe": 1000 * cell["median"] / rows if rows else None,
        "bare_ms_per_nfe": 1000 * bare / rows if rows and bare else None,
        "ratio_to_bare": cell["median"] / bare if bare else None,
        "samples_per_second": rate,
        "ratio_to_batch_1": rate / alone if alone else None,
        "peak_mib": max(cell["peak"].values()) / 2**20,
        "joules_per_sample": None if cell["joules"] is None else cell["joules"] / samples,
        "first_call_seconds": cell["first"],
    }


def _shown(row: Json, column: str) -> str:
    """Return a number as the table shows it."""
    value = row.get(column)
    if value is None:
        return "n/a"
    if column == "num_parameters":
        return f"{value / 1e6:.3g}"
    return f"{value:.0f}" if column in ("m", "s", "peak_mib") else f"{value:.3g}"
