"""Measure seconds and peak memory of every method on colour images of 32 to 256 pixels a side.

The prior is a small UNet with random weights, used as denoiser and as decoder of one row; each cell is measured in a
process of its own. A whole training would take hours. So single iterations of each kind are measured, with few prior
draws and small batches, and the whole is computed as linear in draws and in iterations times batch. Methods that are
not trained run with few steps; seconds of a sample are scaled by the network rows that the method's own settings need.
Memory is that of the short run: of its four samples, with as many chains and particles as its settings have.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch

from bench.core.artefacts import Json
from bench.core.registry import names
from bench.core.types import Prior
from bench.cost.common import Options, Say, at_most, cpu_seconds
from bench.cost.comparisons import draw
from bench.cost.overhead import VARIANTS, ready, short_settings
from bench.cost.sizes_table import table
from bench.cost.subjects import inpainting, measurements, new_unet, untrained
from bench.runtime.job import keep_memory
from bench.runtime.memory import peak, reset_peak
from bench.runtime.run_method import Unsupported, load_method, train

SIDES = (32, 64)
NETWORK = {"channels": (16, 32), "layers_per_block": 1}
NUM_SAMPLES = 64  # samples of a measurement, which share its chains
# at most this many times the growth of the network's own seconds, or of the pixels
MOST_GROWTH = 1.25
MEGABYTE = 2**20
HELD = 28  # bytes per number of a prior draw: the draw, its measurement and the mask in float64, a float32 copy


@dataclass(frozen=True)
class Load:
    """The size of a training: prior draws, rows of a batch, iterations on simulated pairs and on the own loss."""

    draws: int
    batch: int
    pairs: int
    others: int


@dataclass(frozen=True)
class TrainedRow:
    """A method that is trained: its settings for a load, and its whole training."""

    settings: Callable[[Load], dict[str, Any]]
    whole: Load
    sides: tuple[int, ...] = SIDES


def aps_settings(load: Load) -> dict[str, Any]:
    """Return settings of `aps`, whose own loss is the reverse KL divergence."""
    batch = {"num_simulated": load.draws, "batch_size": load.batch}
    return {**batch, "network": "convolutional", **iterations(load)}


def ods_settings(load: Load) -> dict[str, Any]:
    """Return settings of `ods`, whose own loss is trajectory balance."""
    batch = {"num_fit": load.draws, "num_groups": load.batch // 2, "group_size": 2}
    return {**batch, "network": "convolutional", **iterations(load)}


def rtb_settings(load: Load) -> dict[str, Any]:
    """Return settings of `rtb`, whose own loss is relative trajectory balance; batches of pairs have the same size."""
    batch = {"num_pairs": load.batch, "num_groups": load.batch // 2, "group_size": 2}
    return {"num_simulated": load.draws, **batch, **iterations(load)}


def iterations(load: Load) -> dict[str, Any]:
    """Return the settings that all trained methods share."""
    number = load.pairs + load.others
    return {"num_iterations": number, "warm_start": load.pairs / number}


LARGER = (*SIDES, 128, 256)
# the whole trainings of `aps` and `ods` are those of the rows on photographs in docs/cost.md; that of `rtb` has its
# defaults, but for pairs in batches of 48, which is the number of its paths
TRAINED = {
    "aps": TrainedRow(aps_settings, Load(4096, 32, 75, 75), LARGER),
    "ods": TrainedRow(ods_settings, Load(512, 32, 392, 8), LARGER),
    "rtb": TrainedRow(rtb_settings, Load(4096, 48, 680, 120)),
}
MEASURED = {  # loads that are measured
    32: Load(8, 8, 1, 0),
    64: Load(8, 4, 1, 0),
    128: Load(8, 2, 1, 0),
    256: Load(8, 2, 1, 0),
}
# further iterations from which one's seconds follow; enough that they are more than the noise of the first measurement
MORE = {32: 32, 64: 32, 128: 24, 256: 16}


@dataclass(frozen=True)
class Cell:
    """CPU seconds of the work, and its peak of resident bytes above those before it."""

    seconds: float
    peak: int


@dataclass(frozen=True)
class Task:
    """The work of one process: the training of a row, sampling of a row (trained before), or the network alone."""

    row: str
    side: int
    what: Literal["train", "sample", "network"]
    settings: dict[str, Any]


def measure(options: Options, say: Say) -> Json:
    """Return seconds and bytes by row and side."""
    say(
        f"UNet {NETWORK['channels']}, colour images, half of each side hidden, one thread; the prior's network alone:"
    )
    network = {
        side: in_new_process(Task("network", side, "network", {}))
        for side in LARGER
        if side <= options.largest
    }
    for side, cell in network.items():
        say(
            f"{side:4} pixels: {1000 * cell.seconds:.0f} ms a row, forward and backward, {megabytes(cell.peak)} MB"
        )
    content: Json = {
        "settings": {
            "network": NETWORK,
            "whole": {row: asdict(one.whole) for row, one in TRAINED.items()},
        }
    }
    content["network"] = {str(side): asdict(cell) for side, cell in network.items()}
    for row, settings in rows():
        content[row] = measure_row(row, settings, network, say)
    for line in table(content):
        say(line)
    return content


def rows() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row with its settings, in noise space alone for those that have several spaces."""
    for module in names("method"):
        row, settings = next(iter(VARIANTS.get(module, {module: {}}).items()))
        yield row, dict(settings)


def measure_row(row: str, settings: dict[str, Any], network: dict[int, Cell], say: Say) -> Json:
    """Return seconds and bytes of a row at each side, or the reason why it does not run."""
    module = row.split("-")[0]
    possible = TRAINED[module].sides if module in TRAINED else SIDES
    sides = [side for side in possible if side in network]
    found: dict[int, dict[str, Any]] = {}
    try:
        for side in sides:
            found[side] = (
                measure_training(row, side)
                if module in TRAINED
                else measure_sampling(row, side, settings)
            )
            say(format_row(row, side, found[side]))
    except Unsupported as reason:
        say(f"{row:18} n/a ({reason})")
        return {"reason": str(reason)}
    for what in ("train_seconds", "seconds_per_sample"):
        if what in found[sides[0]] and len(sides) > 1:
            say(format_growth(row, what, {side: found[side][what] for side in sides}, network))
    return {str(side): values for side, values in found.items()}


def measure_training(row: str, side: int) -> dict[str, Any]:
    """Return seconds and bytes of short trainings, of the whole one as computed from these, and of sampling."""
    one, load = TRAINED[row], MEASURED[side]
    loads = {
        "first": load,
        "draws": replace(load, draws=3 * load.draws),
        "batch": replace(load, batch=2 * load.batch),
        "pairs": replace(load, pairs=load.pairs + MORE[side]),
        "others": replace(load, pairs=0, others=load.pairs),
    }
    cells = {
        what: fastest(Task(row, side, "train", one.settings(each))) for what, each in loads.items()
    }
    sampled = in_new_process(Task(row, side, "sample", one.settings(load)))
    return {
        "loads": {what: asdict(each) for what, each in loads.items()},
        "cells": {what: asdict(cell) for what, cell in cells.items()},
        "train_seconds": reckoned_seconds(one.whole, load, MORE[side], cells),
        "train_peak": reckoned_peak(one.whole, load, 3 * side**2, cells),
        "seconds_per_sample": sampled.seconds / samples_at(side),
        "sample_peak": sampled.peak,
    }


def reckoned_seconds(whole: Load, load: Load, more: int, cells: Mapping[str, Cell]) -> float:
    """Return seconds of a whole training, computed from cells that each differ from the first in one part of the load.

    Seconds are linear in draws, in the batch (on which a trained sampler is assessed), and in iterations times batch.
    """
    first = cells["first"].seconds
    extra = {what: max(0.0, cell.seconds - first) for what, cell in cells.items()}
    per_draw = extra["draws"] / (2 * load.draws)
    per_pair = extra["pairs"] / (more * load.batch)
    per_other = per_pair + (cells["others"].seconds - first) / load.batch
    once = max(0.0, extra["batch"] / load.batch - per_pair)
    return (
        first
        + per_draw * (whole.draws - load.draws)
        + once * (whole.batch - load.batch)
        + per_pair * (whole.pairs * whole.batch - load.batch)
        + max(0.0, per_other) * whole.others * whole.batch
    )


def reckoned_peak(whole: Load, load: Load, numbers: int, cells: Mapping[str, Cell]) -> float:
    """Return bytes of a whole training, computed from the same cells. numbers: values in an image.

    Bytes are taken as linear in the batch, though chunks may need less. Further draws go through the network in chunks,
    and all of them are held with their measurements.
    """
    first = cells["first"].peak
    extra = {what: max(0, cell.peak - first) for what, cell in cells.items()}
    return (
        max(first, cells["draws"].peak)
        + HELD * numbers * (whole.draws - load.draws)
        + extra["batch"] / load.batch * (whole.batch - load.batch)
        + extra["others"] / load.batch * whole.batch
    )


def measure_sampling(row: str, side: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Return seconds and bytes of a short run, and seconds of a sample with the row's own settings."""
    module = row.split("-")[0]
    short = short_settings(module, settings)
    cell = in_new_process(Task(row, side, "sample", short))
    num_samples = samples_at(side)
    prior = untrained_prior(8)  # its counts do not depend on the side
    spent = sum(load_method(module, short).nfe(prior, num_samples)[:2])
    own = sum(load_method(module, settings).nfe(prior, NUM_SAMPLES)[:2])
    per_row = cell.seconds / num_samples / max(spent, 1)
    return {
        "cells": {"first": asdict(cell)},
        "rows_per_sample": own,
        "seconds_per_sample": per_row * max(own, 1),
        "sample_peak": cell.peak,
    }


def samples_at(side: int) -> int:
    """Return the number of samples in a measured call: four, two on images of more than 64 pixels a side."""
    return 4 if side <= 64 else 2


def format_row(row: str, side: int, found: dict[str, Any]) -> str:
    """Return seconds and bytes of a row at one side in one line, which says what is measured and what is reckoned."""
    measured = ", ".join(
        f"{cell['seconds']:.1f} CPU-s {megabytes(cell['peak'])} MB"
        for cell in found["cells"].values()
    )
    text = f"{row:18}{side:4} pixels: measured {measured}"
    if "train_seconds" in found:
        text += f"; whole training reckoned {found['train_seconds']:.0f} CPU-s, {megabytes(found['train_peak'])} MB"
    return (
        f"{text}; a sample {'reckoned' if 'rows_per_sample' in found else 'measured'} "
        f"{found['seconds_per_sample']:.3g} CPU-s, {megabytes(found['sample_peak'])} MB"
    )


def format_growth(row: str, what: str, seconds: dict[int, float], network: dict[int, Cell]) -> str:
    """Return a line with the growth from the smallest side to the largest, and that of pixels and of the network."""
    first, last = min(seconds), max(seconds)
    growth, pixels = seconds[last] / seconds[first], (last / first) ** 2
    own = network[last].seconds / network[first].seconds
    ratio = growth / max(pixels, own)
    return (
        f"{row:18}{first} to {last} pixels: {what} x {growth:.1f}, pixels x {pixels:.0f}, network x {own:.1f}: "
        f"{ratio:.2f} of the larger ({at_most(ratio, MOST_GROWTH)})"
    )


def megabytes(size: float) -> str:
    """Return bytes in MB, without decimals."""
    return f"{size / MEGABYTE:.0f}"


def fastest(task: Task) -> Cell:
    """Return the faster of two measurements: differences of trainings are small beside what other jobs add to one."""
    return min((in_new_process(task) for _ in range(2)), key=lambda cell: cell.seconds)


def in_new_process(task: Task) -> Cell:
    """Return the cell, measured in a new process that has imported torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "diffusers.models.unets.unet_2d"])
    with context.Pool(1) as pool:
        return pool.apply(measure_cell, (task,))


def measure_cell(task: Task) -> Cell:
    """Measure a task, after the same on images of 16 pixels, unmeasured, does what is done once per process."""
    keep_memory()
    torch.set_num_threads(1)
    work_of(replace(task, side=16))()
    device, work = torch.device("cpu"), work_of(task)
    reset_peak(device)
    before = peak(device)["resident"]
    seconds = cpu_seconds(work)
    return Cell(seconds, peak(device)["resident"] - before)


def work_of(task: Task) -> Callable[[], object]:
    """Return the work to time; everything that it needs is made here, untimed."""
    prior = untrained_prior(task.side)
    problem = inpainting(prior.shape)
    if task.what == "network":
        x = torch.zeros(1, *prior.shape, requires_grad=True)
        return lambda: torch.autograd.grad(prior.denoise(x, torch.tensor(0.5)).sum(), x)
    module = task.row.split("-")[0]
    if task.what == "train":
        method = load_method(module, task.settings)
        return lambda: train(method, prior, problem, "cost", 0)  # pyright: ignore[reportArgumentType]
    method, y = ready(module, prior, problem, task.settings), measurements(prior, problem, 1)
    return lambda: draw(method, prior, problem, y, samples_at(task.side))


def untrained_prior(side: int) -> Prior:
    """Return the UNet with random weights on colour images."""
    return untrained(new_unet((3, side, side), **NETWORK))
