"""Test whether two runs of the clock agree: every timed run of a suite is timed twice, with all visits.

Two times of a cell agree if their printed spreads overlap.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.core.artefacts import Json, read_json
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.provenance import ROOT
from bench.core.specs import ClockSpec
from bench.cost.common import Options, Say, at_least
from bench.runtime.visits import pool_visits

LEAST = 0.9  # share of the cells that have to agree

Spread = tuple[float, float, float]  # seconds: lower end, median, upper end


@dataclass(frozen=True)
class Cell:
    """Seconds of one call in each of the two runs."""

    name: str
    first: Spread
    second: Spread

    @property
    def agrees(self) -> bool:
        return max(self.first[0], self.second[0]) <= min(self.first[2], self.second[2])


def measure(options: Options, say: Say) -> Json:
    """Return both times of each cell, and the share of cells that agree."""
    results = ROOT / Layout.of_suite(options.suite).root
    if not Layout(results).spec("clock").with_suffix("").is_dir():
        raise UserError(
            f"--suite {options.suite}: no results/{options.suite}/specs/clock; run a suite with a clock"
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(results, Path(folder, "suite")))
        specs = sorted(Layout(copy).spec("clock").with_suffix("").rglob("*.json"))
        for spec in specs:
            replace(ClockSpec.read(spec), root=str(copy)).write(spec)
        first, second = (timings(specs, f"{number} run") for number in ("first", "second"))
    cells = [cell for pair in zip(first, second, strict=True) for cell in cells_of(*pair)]
    for line in format_cells(cells):
        say(line)
    share = sum(cell.agrees for cell in cells) / len(cells)
    return {"suite": options.suite, "share": share, "cells": [asdict(cell) for cell in cells]}


def timings(specs: Sequence[Path], words: str) -> list[Json]:
    """Time each run of the suite, its visits in turns as in the workflow, and return the pooled times of each."""
    visits: dict[Path, list[Json]] = {spec: [] for spec in specs}
    for visit in range(ClockSpec.read(specs[0]).clock.visits):
        for spec in specs:
            content = ClockSpec.read(spec)
            name = f"{content.task} {content.method}"
            print(f"{words}, visit {visit + 1}: {name}", file=sys.stderr, flush=True)
            command = [sys.executable, "-m", "bench.stages.clock", str(spec), str(visit + 1)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if done.returncode != 0:
                raise UserError(
                    f"bench.stages.clock {name}: {done.stderr.strip().splitlines()[-1]}"
                )
            files = content.layout.run(content.task, content.method, content.seed)
            visits[spec].append(read_json(files.visit(visit + 1)))
    return [pool_visits(of_run) for of_run in visits.values()]


def cells_of(first: Json, second: Json) -> list[Cell]:
    """Return the cells that both timings have: those of the curve, and the batch with the most samples per second."""
    cells = [
        {(cell["m"], cell["s"]): cell for cell in (*x.get("curve", []), *best(x))}
        for x in (first, second)
    ]
    names = [key for key in cells[0] if key in cells[1]]
    about = f"{first['task']} {first['method']}"
    return [Cell(f"{about}, m = {m}, s = {s}", *(spread(x[m, s]) for x in cells)) for m, s in names]


def best(timing: Json) -> list[Json]:
    """Return a list of the cell with the highest throughput, empty if there is none."""
    return [timing["throughput"]] if timing.get("throughput") else []


def spread(cell: Json) -> Spread:
    """Return lower quartile, median and upper quartile of a cell."""
    return cell["low"], cell["median"], cell["high"]


def format_cells(cells: list[Cell]) -> list[str]:
    """Return a line per cell with both times, and the share that agrees."""
    lines = []
    for cell in cells:
        times = [
            f"{median:.4g} s [{low:.4g}, {high:.4g}]"
            for low, median, high in (cell.first, cell.second)
        ]
        lines.append(
            f"{cell.name:48} {times[0]:34} {times[1]:34} {'agree' if cell.agrees else 'DIFFER'}"
        )
    agreeing = sum(cell.agrees for cell in cells)
    words = f"{agreeing} of {len(cells)} cells agree within their spread"
    return [
        *lines,
        f"{words}: {agreeing / len(cells):.2f} ({at_least(agreeing / len(cells), LEAST)}).",
    ]
