"""`python -m bench.stages.clock specs/clock/<task>/<method>/seed<k>.json [visit]`: seconds of a method.

The job has the machine to itself. For one measurement and a growing number of samples it times a whole call that draws
them all, once untimed and then repeated. Then it draws more and more rows at once, until they are drawn no faster or do
not fit into memory. Nothing is written during a timed call. The record also says how many independent exact draws the
run's stored samples are worth.

A suite may ask for several visits, which the workflow spreads over time. Each writes visits/<visit>.json, from which
`bench.stages.pool` makes timing.json.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil, inf
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import Json, read_header, read_json, read_tensors, write_json
from bench.core.compute import Compute
from bench.core.errors import UserError
from bench.core.papers import is_rehearsal
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.specs import ClockSpec
from bench.core.types import Method, Prior, State
from bench.numerics.distances import mean_distance_within, relative_energy
from bench.priors._networks import num_parameters
from bench.runtime.bare_calls import Call, recorded, replay
from bench.runtime.batch_size import probe, result_if_it_fits
from bench.runtime.containment import Ending, hold
from bench.runtime.devices import computing, moved, networks_of
from bench.runtime.job import run
from bench.runtime.lease import Busy, lease
from bench.runtime.memory import in_use
from bench.runtime.metering import counted
from bench.runtime.progress import progress
from bench.runtime.run_method import (
    NO_TRAINING,
    Draws,
    RunResult,
    attempt,
    joint_of,
    load_method,
    read_training,
    refuse_unmet,
    sample,
)
from bench.runtime.stopwatch import MOST, PATIENCE, Timing, machine, measure
from bench.task import Task, open_task

THREADS = 1  # as for every job of a workflow
LONGEST_WAIT = 600.0  # seconds until no other job computes
LONGEST_CALL = 30.0  # seconds; after a longer call, the number of measurements is not doubled again

Cell = Json  # content of one timed call: m, s, seconds, network rows and memory


def main(spec_path: str, visit: str = "1") -> None:
    """Time a run, alone on the machine unless it is a rehearsal's, and write visits/<visit>.json."""
    spec = ClockSpec.read(spec_path)
    with contextlib.ExitStack() as stack:
        try:
            # seconds of a rehearsal mean nothing: it disturbs no clock, and need not be alone
            alone = not is_rehearsal(spec.root)
            stack.enter_context(lease(alone=alone, patience=LONGEST_WAIT if alone else inf))
            device = stack.enter_context(computing(spec.compute))
        except Busy as error:
            raise UserError(
                f"{error}; a time taken beside it would be wrong: run again when it has ended"
            ) from None
        clock(spec, int(visit), device)


def clock(spec: ClockSpec, visit: int, device: torch.device) -> None:
    """Time a run on `device` and write visits/<visit>.json; a method that cannot run leaves a reason there."""
    torch.set_num_threads(THREADS)
    files = spec.layout.run(spec.task, spec.method, spec.seed)
    task = open_task(spec, spec.compute, device)
    trained, training, _ = read_training(files) if spec.trains else NO_TRAINING
    earlier = read_json(files.visit(1)) if visit > 1 else {}
    run_result = trained if trained.status != "ok" else fate_of_samples(spec)
    if run_result.status == "ok":
        run_result = attempt(
            lambda: time_method(spec, task, moved(trained.result, device), earlier)
        )
    times = run_result.result if run_result.status == "ok" and run_result.result else {}
    content = facts_of(spec, run_result.status, run_result.reason)
    content |= times | compile_seconds(times, spec.compute)
    content |= {"worth": worths(spec) if times and spec.clock.worth else {}} | training
    content |= {
        "num_parameters": sum(num_parameters(network) for network in networks_of(task.prior))
    }
    content |= {"machine": machine(device), "provenance": provenance(spec.compute.device, THREADS)}
    write_json(files.visit(visit), content)
    note_failure(files.visit(visit), run_result.reason, run_result.is_passing)
    print(f"{spec.task} {spec.method}, visit {visit}: {format_times(times) or run_result}")


def facts_of(spec: ClockSpec, status: str, reason: str) -> Json:
    """Return the facts that the record of each visit holds besides times."""
    said = {"joint": "independent", "status": status, "reason": reason, "threads": THREADS}
    return spec.run_facts | said | spec.compute.facts


def fate_of_samples(spec: ClockSpec) -> RunResult[Json]:
    """Return how the run that drew the samples ended: a method that never ended, or crashed, is not called again.

    In a suite that only measures times there are no samples, and the limits of the suite apply to this process.
    """
    if not spec.clock.worth:
        hold(spec.limits)
        return RunResult("ok")
    header = read_header(spec.layout.run(spec.task, spec.method, spec.seed).samples)
    return RunResult(header["status"], header["reason"])


def outputs(spec_path: str, visit: str = "1") -> tuple[Path, ...]:
    """Return the record of a visit, which `main` writes."""
    spec = ClockSpec.read(spec_path)
    return (spec.layout.run(spec.task, spec.method, spec.seed).visit(visit),)


def write_failed(ending: Ending, spec_path: str, visit: str = "1") -> None:
    """Write the record of a visit whose process has ended without writing one."""
    spec, (path,) = ClockSpec.read(spec_path), outputs(spec_path, visit)
    content = facts_of(spec, ending.status, ending.reason) | NO_TRAINING[1]
    content |= {"worth": {}, "num_parameters": 0, "machine": machine(torch.device("cpu"))}
    write_json(path, content | {"provenance": provenance(spec.compute.device, THREADS)})
    note_failure(path, ending.reason, ending.is_passing, ending.over(spec.limits))


def time_method(spec: ClockSpec, task: Task, state: State | None, earlier: Json) -> Json:
    """Return joint, curve and throughput of a method. earlier: content of the first visit, where there is one."""
    method = load_method(spec.module, spec.settings)
    refuse_unmet(method, task.prior, task.problem)
    timed, before = TimedMethod(method, task, spec, state), in_use(task.y.device)
    curve = timed.curve()
    throughput = (
        timed.repeat_throughput(earlier)
        if "throughput" in earlier
        else timed.throughput(curve[-1], before)
    )
    return {"joint": joint_of(method, 1)[0], "curve": curve} | throughput


@dataclass(frozen=True)
class TimedMethod:
    """A method on a task, with the calls of it that are timed. state: of a trained method."""

    method: Method
    task: Task
    spec: ClockSpec
    state: State | None

    @property
    def device(self) -> torch.device:
        return self.task.y.device

    def draw(self, m: int, s: int, prior: Prior | None = None) -> Tensor:
        """Draw s samples of each of the first m measurements in one call, from a metered `prior` where given."""
        draws, task = Draws(self.spec.task, self.spec.seed, s, m * s), self.task.first(m)
        return sample(
            self.method, prior or task.prior, task.problem, task.measured, draws, self.state
        )

    def cell(self, m: int, s: int) -> Cell:
        """Return seconds of a call for m measurements and s samples of each, network rows and memory."""
        timing = self.measure(lambda: self.draw(m, s))
        metered, meter = counted(self.task.prior)
        watched, calls = recorded(metered) if self.spec.clock.bare else (metered, [])
        self.draw(m, s, watched)
        rows = {"m": m, "s": s, "nfe": meter.nfe(m * s), "nfe_vjp": meter.nfe_vjp(m * s)}
        bare = {"bare": self.seconds_of_calls(calls)} if self.spec.clock.bare else {}
        return rows | content_of(timing) | bare

    def measure(self, work: Callable[[], object]) -> Timing:
        """Time a call with this visit's share of repeats and patience."""
        clock = self.spec.clock
        fewest, most = (
            max(2, ceil(num / clock.visits)) for num in (clock.repeats, max(clock.repeats, MOST))
        )
        patience = (PATIENCE if clock.patience is None else clock.patience) / clock.visits
        return measure(work, self.device, fewest=fewest, most=most, patience=patience)

    def seconds_of_calls(self, calls: list[Call]) -> float | None:
        """Return seconds of the network calls alone, forward and backward; None for no calls."""
        return self.measure(lambda: replay(self.task.prior, calls)).median if calls else None

    def curve(self) -> list[Cell]:
        """Return the cells of one measurement, up to the largest number of samples that fits into memory."""
        cells: list[Cell] = []
        for s in progress(
            sorted(self.spec.clock.num_samples), what=f"clock {self.spec.task} {self.spec.method}"
        ):
            cell = result_if_it_fits(partial(self.cell, 1, s), self.device)
            if cell is None:
                break
            cells.append(cell)
        if not cells:
            raise torch.OutOfMemoryError("not even the fewest samples fit into memory")
        return cells

    def throughput(self, first: Cell, before: int) -> Json:
        """Return the cell with the most samples per second among m = 1, 2, 4, ... measurements.

        first: the cell of m = 1, whose s the others have. before: bytes in use before any cell.
        """

        def cell(m: int) -> Cell:
            return with_rate(first if m == 1 else self.cell(m, first["s"]))

        best = probe(
            cell,
            rate=lambda cell: cell["samples_per_second"],
            most=len(self.task.y),
            device=self.device,
            is_enough=lambda cell: cell["median"] > LONGEST_CALL,
            before=before,
        )
        return {"throughput": best.result, "stopped": best.why}

    def repeat_throughput(self, earlier: Json) -> Json:
        """Return the cell of highest throughput of an earlier visit, timed again."""
        best = earlier["throughput"]
        return {
            "throughput": with_rate(self.cell(best["m"], best["s"])),
            "stopped": earlier["stopped"],
        }


def with_rate(cell: Cell) -> Cell:
    """Return a cell with its samples per second."""
    return cell | {"samples_per_second": cell["m"] * cell["s"] / cell["median"]}


def compile_seconds(times: Json, compute: Compute) -> Json:
    """Return the seconds of compiling: by how much the first calls exceed the median ones, summed over all cells."""
    if not compute.compile or not times:
        return {}
    cells = [*times["curve"], times["throughput"]]
    return {"compile_seconds": sum(cell["first"] - cell["median"] for cell in cells)}


def content_of(timing: Timing) -> Json:
    """Return a timing as it is stored."""
    low, high = timing.quartiles
    seconds = {
        "median": timing.median,
        "low": low,
        "high": high,
        "repeats": len(timing.seconds),
        "first": timing.first,
    }
    return seconds | {"cpu_share": timing.cpu_share, "peak": timing.peak, "joules": timing.joules}


def worths(spec: ClockSpec) -> dict[str, float]:
    """Return how many exact draws the first s samples of a run are worth (worth_energy), by s; {} for points."""
    tensors, header = read_tensors(spec.layout.run(spec.task, spec.method, spec.seed).samples)
    reference, about = read_tensors(spec.layout.task(spec.task).reference)
    if header["status"] != "ok" or header["joint"] == "point":
        return {}
    num = header["num_measurements"]
    admitted = torch.tensor(about.get("admitted", [True] * num)[:num])
    x, draws = (y[:num][admitted].double().flatten(2) for y in (tensors["x"], reference["x_a"]))
    within = mean_distance_within(draws)
    errors = {
        s: relative_energy(x[:, :s], draws, within).mean().item()
        for s in spec.clock.num_samples
        if s <= x.shape[1]
    }
    return {str(s): 1 / error for s, error in errors.items() if error > 0}


def format_times(times: Json) -> str:
    """Return times in one line; "" where there are none."""
    if not times:
        return ""
    cells = ", ".join(f"s = {cell['s']}: {cell['median']:.3g} s" for cell in times["curve"])
    return f"{cells}; {times['throughput']['samples_per_second']:.3g} samples/s at m = {times['throughput']['m']}"


if __name__ == "__main__":
    run(main, leased=False, failed=write_failed, outputs=outputs)
