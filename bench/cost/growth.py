"""Measure seconds and peak memory at 1, 2, 4 and 8 times as many measurements, samples, and pixels along a side.

Each cell is measured in a process of its own, so that none reuses memory of an earlier one. Samples go through the
network in chunks, as in the workflow.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import asdict, dataclass, replace

import torch

from bench.core.artefacts import Json
from bench.cost.common import Options, Say, cpu_seconds
from bench.cost.subjects import DIGITS, inpainting, measurements, new_unet, untrained
from bench.problems.measurements import Measurements
from bench.runtime.job import keep_memory
from bench.runtime.memory import peak, reset_peak
from bench.runtime.run_method import Draws, load_method, sample

TIMES = (1, 2, 4, 8)
ROWS_PER_CHUNK = 64
METHODS = {
    "dps": {"num_steps": 21},
    "latent_langevin": {"num_chains": 8, "num_adam": 2, "num_warmup": 4, "num_adapt": 2, "thin": 2},
}
MEGABYTE = 2**20


@dataclass(frozen=True)
class Size:
    """Measurements, samples of each, and pixels along a side of an image."""

    m: int = 2
    s: int = 8
    side: int = 8


@dataclass(frozen=True)
class Cell:
    """CPU seconds of a run, and its peak of resident bytes above those before it."""

    seconds: float
    peak: int


def measure(options: Options, say: Say) -> Json:
    """Return seconds and bytes by method and by what grows: measurements, samples or pixels, one at a time."""
    content: Json = {"rows_per_chunk": ROWS_PER_CHUNK, "base": asdict(Size()), "settings": METHODS}
    base = Size()
    size = f"m = {base.m}, s = {base.s}, {base.side} x {base.side} pixels"
    say(f"From {size}, {ROWS_PER_CHUNK} rows in a chunk; UNet {DIGITS['channels']}, one thread.")
    for module in METHODS:
        content[module] = {what: measure_growth(module, what, say) for what in ("m", "s", "side")}
    return content


def measure_growth(module: str, what: str, say: Say) -> list[Json]:
    """Return a cell for each of TIMES as many measurements (m), samples (s) or pixels along a side (side)."""
    sizes = [replace(Size(), **{what: times * asdict(Size())[what]}) for times in TIMES]
    cells = [in_new_process(module, size) for size in sizes]
    say(f"{module:16} {what:5}" + "".join(f"  {part}" for part in format_cells(cells)))
    return [{**asdict(size), **asdict(cell)} for size, cell in zip(sizes, cells, strict=True)]


def format_cells(cells: list[Cell]) -> list[str]:
    """Return texts: seconds and memory at 1x, and the ratios of the larger sizes to these."""
    first = cells[0]
    begin = f"1x: {first.seconds:.2f} CPU-s, {first.peak / MEGABYTE:.0f} MB"
    return [begin] + [
        f"{times}x: seconds x {cell.seconds / first.seconds:.2f}, memory x {cell.peak / max(first.peak, 1):.2f}"
        for times, cell in zip(TIMES[1:], cells[1:], strict=True)
    ]


def in_new_process(module: str, size: Size) -> Cell:
    """Return the cell, measured in a new process that has imported torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "diffusers.models.unets.unet_2d"])
    with context.Pool(1) as pool:
        return pool.apply(measure_cell, (module, size))


def measure_cell(module: str, size: Size) -> Cell:
    """Measure a run, after an unmeasured one on one image that does what is done once per process."""
    keep_memory()
    torch.set_num_threads(1)
    device = torch.device("cpu")
    draw(module, Size(1, 1, size.side))
    reset_peak(device)
    before = peak(device)["resident"]
    seconds = draw(module, size)
    return Cell(seconds, peak(device)["resident"] - before)


def draw(module: str, size: Size) -> float:
    """Return CPU seconds of drawing all samples of a run, chunk by chunk."""
    shape = (1, size.side, size.side)
    prior = untrained(new_unet(**{**DIGITS, "shape": shape}))
    problem = inpainting(shape)
    y = measurements(prior, problem, size.m)
    measured = Measurements(
        torch.zeros(size.m, *shape, dtype=y.dtype), y, torch.arange(size.m), header={}
    )
    method = load_method(module, METHODS[module])
    draws = Draws("cost", 0, size.s, ROWS_PER_CHUNK)
    return cpu_seconds(lambda: sample(method, prior, problem, measured, draws))
