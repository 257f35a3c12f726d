"""Whether two runs of the clock agree: every timed run of a suite is timed twice, in processes of their own.

Two times of a cell agree where their printed spreads, from quartile to quartile, have a point in common.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.artefacts import Json, read_json, write_json
from bench.cli import UserError
from bench.cost.commands.common import Options, Say, at_least
from bench.provenance import ROOT

LEAST = 0.9  # of the cells

Spread = tuple[float, float, float]  # seconds: lower quartile, median, upper quartile


@dataclass(frozen=True)
class Cell:
    """Seconds of one call, twice."""

    name: str
    first: Spread
    second: Spread

    @property
    def agrees(self) -> bool:
        return max(self.first[0], self.second[0]) <= min(self.first[2], self.second[2])


def measure(options: Options, say: Say) -> Json:
    results = ROOT / "results" / options.suite
    if not (results / "specs" / "clock").is_dir():
        raise UserError(f"--suite {options.suite}: no results/{options.suite}/specs/clock; run a suite with a clock")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(results, Path(folder, "suite")))
        specs = sorted((copy / "specs" / "clock").rglob("*.json"))
        first, second = ([clocked(spec, copy, number) for spec in specs] for number in ("first", "second"))
    cells = [cell for pair in zip(first, second, strict=True) for cell in cells_of(*pair)]
    for line in in_words(cells):
        say(line)
    share = sum(cell.agrees for cell in cells) / len(cells)
    return {"suite": options.suite, "share": share, "cells": [asdict(cell) for cell in cells]}


def clocked(spec: Path, root: Path, number: str) -> Json:
    """What the clock writes about one run in a process of its own."""
    print(f"{number} time: {spec.relative_to(root / 'specs' / 'clock')}", file=sys.stderr, flush=True)
    content = {key: value for key, value in read_json(spec).items() if key != "sha256"}
    write_json(spec, content | {"root": str(root)})
    command = [sys.executable, "-m", "bench.clock", str(spec)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"bench.clock {spec.relative_to(root)}: {done.stderr.strip().splitlines()[-1]}")
    return read_json(root / "runs" / content["task"] / content["method"] / f"seed{content['seed']}" / "timing.json")


def cells_of(first: Json, second: Json) -> list[Cell]:
    """The cells that both have: those of the curve, and the batch with the most samples per second if it is the same."""
    found = [{(cell["m"], cell["s"]): cell for cell in (*x.get("curve", []), *best(x))} for x in (first, second)]
    names = [key for key in found[0] if key in found[1]]
    about = f"{first['task']} {first['method']}"
    return [Cell(f"{about}, m = {m}, s = {s}", *(spread(x[m, s]) for x in found)) for m, s in names]


def best(timing: Json) -> list[Json]:
    return [timing["throughput"]] if timing.get("throughput") else []


def spread(cell: Json) -> Spread:
    return cell["low"], cell["median"], cell["high"]


def in_words(cells: list[Cell]) -> list[str]:
    lines = []
    for cell in cells:
        times = [f"{median:.4g} s [{low:.4g}, {high:.4g}]" for low, median, high in (cell.first, cell.second)]
        lines.append(f"{cell.name:48} {times[0]:34} {times[1]:34} {'agree' if cell.agrees else 'DIFFER'}")
    agreeing = sum(cell.agrees for cell in cells)
    words = f"{agreeing} of {len(cells)} cells agree within their spread"
    return [*lines, f"{words}: {agreeing / len(cells):.2f} ({at_least(agreeing / len(cells), LEAST)})."]
