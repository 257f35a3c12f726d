"""`python -m bench.stages.clock specs/clock/<task>/<method>/seed<k>.json [visit]`: a method's seconds, alone on the machine.

For one measurement and a growing number of samples: a whole call that draws them all, once untimed and then repeated.
Then for more and more rows at once, until they are drawn no faster or fit no more. Nothing is written or judged while
time runs. Beside them the effective number of samples of chains, from the run's stored samples.

A suite may ask for several visits, which the workflow spreads over time; each writes visits/<visit>.json, of which
`bench.stages.pool` makes timing.json.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import Json, read_json, read_tensors, write_json
from bench.core.compute import Compute, compute_of
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.types import Method, Prior, Problem, State
from bench.numerics.chains import chain_diagnostics, principal_directions
from bench.numerics.diagnostics import MIN_STATES
from bench.priors import load_prior, prior_path
from bench.priors._networks import num_parameters
from bench.problems.measurements import Measurements, first, problem_of, read_measurements
from bench.problems.posteriors import posterior_of
from bench.runtime.bare_calls import Call, recorded, replay
from bench.runtime.batch_size import probe, result_if_it_fits
from bench.runtime.devices import computing, moved, networks_of, prepared
from bench.runtime.job import run
from bench.runtime.lease import Busy, lease
from bench.runtime.memory import in_use
from bench.runtime.metering import counted
from bench.runtime.run_method import NO_TRAINING, attempt, joint_of, load_method, read_training, refuse_unmet, sample
from bench.runtime.stopwatch import MOST, PATIENCE, Timing, machine, measure

THREADS = 1  # as every job of a workflow
LONGEST_WAIT = 600.0  # seconds for the machine
LONGEST_CALL = 30.0  # seconds: no doubling beyond


def main(spec_path: str, visit: str = "1") -> None:
    spec = read_json(spec_path)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(lease(alone=True, patience=LONGEST_WAIT))
            compute = compute_of(spec)
            clock(spec, int(visit), compute, stack.enter_context(computing(compute)))
    except Busy as words:
        raise UserError(f"{words}; a time taken beside it would be no time: run again when it has ended") from None


def clock(spec: dict, visit: int, compute: Compute, device: torch.device) -> None:
    torch.set_num_threads(THREADS)
    root, task = Path(spec["root"]), spec["task"]
    folder = root / "runs" / task / spec["method"] / f"seed{spec['seed']}"
    observations = read_measurements(root / "tasks" / task / "observations.safetensors", compute.dtype, device)
    prior = prepared(load_prior(prior_path(root, spec["prior"], spec["family"]), compute.dtype, device), compute)
    plain = problem_of(observations.header, prior.shape, device=device)
    posterior = posterior_of(prior, plain)
    problem = problem_of(observations.header, prior.shape, posterior if posterior.offered else None, device)
    trained, training, _ = read_training(folder) if spec.get("trains") else NO_TRAINING

    def timed() -> dict:
        method = load_method(spec["module"], spec["settings"])
        refuse_unmet(method, prior, problem)
        bench = Bench(method, prior, problem, observations, spec, moved(trained.result, device))
        before, curve = in_use(device), bench.curve()
        found = {"joint": joint_of(method, 1)[0], "curve": curve}
        earlier = read_json(folder / "visits" / "1.json") if visit > 1 else {}
        return found | (bench.again(earlier) if "throughput" in earlier else bench.throughput(curve[-1], before))

    outcome = trained if trained.status != "ok" else attempt(timed)
    facts = {key: spec[key] for key in ("task", "method", "module", "settings", "seed")}
    facts |= {"joint": "independent", "status": outcome.status, "reason": outcome.reason, "threads": THREADS}
    found = (outcome.result or {}) if outcome.status == "ok" else {}
    ess = {} if not found or spec.get("timing_only") else effective(root, task, folder, spec)
    whole = facts | compute.facts | found | compile_seconds(found, compute) | {"ess": ess} | training
    whole |= {"num_parameters": sum(num_parameters(network) for network in networks_of(prior))}
    whole |= {"machine": machine(device), "provenance": provenance(compute.device, THREADS)}
    write_json(folder / "visits" / f"{visit}.json", whole)
    print(f"{task} {spec['method']}, visit {visit}: {in_words(found) or outcome}")


@dataclasses.dataclass(frozen=True)
class Bench:
    """A method with all that a call of it needs."""

    method: Method
    prior: Prior
    problem: Problem
    observations: Measurements
    spec: Json
    state: State | None

    @property
    def device(self) -> torch.device:
        return self.observations.y.device

    def call(self, m: int, s: int, prior: Prior | None = None) -> Tensor:
        spec = self.spec | {"num_samples": s, "rows_per_chunk": m * s}
        return sample(self.method, prior or self.prior, self.problem, first(self.observations, m), spec, self.state)

    def cell(self, m: int, s: int) -> dict:
        """Seconds of a call for m measurements and s samples of each, network rows and memory."""
        timing = self.timed(lambda: self.call(m, s))
        metered, meter = counted(self.prior)
        bare = self.spec["clock"].get("bare")
        watched, calls = recorded(metered) if bare else (metered, [])
        self.call(m, s, watched)
        found = {"m": m, "s": s, "nfe": meter.nfe(m * s), "nfe_vjp": meter.nfe_vjp(m * s)} | content(timing)
        return found | ({"bare": self.bare(calls)} if bare else {})

    def timed(self, work: Callable[[], object]) -> Timing:
        clock = self.spec["clock"]
        visits, patience = clock.get("visits", 1), clock.get("patience", PATIENCE)
        fewest, most = ceil(clock["repeats"] / visits), ceil(max(clock["repeats"], MOST) / visits)
        return measure(work, self.device, fewest=max(fewest, 2), most=max(most, 2), patience=patience / visits)

    def bare(self, calls: list[Call]) -> float | None:
        """Seconds of the same network calls, forward and backward, with nothing in between; None for no calls."""
        return self.timed(lambda: replay(self.prior, calls)).median if calls else None

    def curve(self) -> list[dict]:
        """The cells of one measurement, up to the largest number of samples that fits into memory."""
        cells: list[dict] = []
        for s in sorted(self.spec["clock"]["num_samples"]):
            found = result_if_it_fits(partial(self.cell, 1, s), self.device)
            if found is None:
                break
            cells.append(found)
        if not cells:
            raise torch.OutOfMemoryError("not even the fewest samples fit into memory")
        return cells

    def throughput(self, first_cell: dict, before: int) -> dict:
        """The cell with the most samples per second among m = 1, 2, 4, ... measurements, s as in the one of m = 1.

        before: bytes in use before the first cell.
        """
        s = first_cell["s"]

        def cell(m: int) -> dict:
            found = first_cell if m == 1 else self.cell(m, s)
            return found | {"samples_per_second": m * s / found["median"]}

        best = probe(
            cell,
            lambda found: found["samples_per_second"],
            len(self.observations.y),
            self.device,
            lambda found: found["median"] > LONGEST_CALL,
            before=before,
        )
        return {"throughput": best.result, "stopped": best.why}

    def again(self, earlier: Json) -> dict:
        """The cell of highest throughput of an earlier visit."""
        m, s = earlier["throughput"]["m"], earlier["throughput"]["s"]
        found = self.cell(m, s)
        return {"throughput": found | {"samples_per_second": m * s / found["median"]}, "stopped": earlier["stopped"]}


def compile_seconds(found: dict, compute: Compute) -> dict:
    """What compiling cost: how much longer than the others the first calls took, over all cells."""
    if not compute.compile or not found:
        return {}
    cells = [*found["curve"], found["throughput"]]
    return {"compile_seconds": sum(cell["first"] - cell["median"] for cell in cells)}


def content(timing: Timing) -> dict:
    low, high = timing.quartiles
    numbers = {"median": timing.median, "low": low, "high": high, "repeats": len(timing.seconds)}
    numbers["first"] = timing.first
    return numbers | {"cpu_share": timing.cpu_share, "peak": timing.peak, "joules": timing.joules}


def effective(root: Path, task: str, folder: Path, spec: dict) -> dict[str, float]:
    """Effective number of the first s samples of a run's chains, by s; the mean over its measurements."""
    tensors, header = read_tensors(folder / "samples.safetensors")
    if header["status"] != "ok" or header["joint"] != "chain":
        return {}
    x, chains = tensors["x"][: header["num_measurements"]].double(), header["num_chains"]
    observed = first(read_measurements(root / "tasks" / task / "observations.safetensors"), len(x))
    exact, _ = read_tensors(root / "tasks" / task / "exact.safetensors")
    directions = principal_directions(exact["x_a"][: len(x)].double().flatten(2))
    problem = problem_of(observed.header, tuple(x.shape[2:]))
    lengths = [s for s in spec["clock"]["num_samples"] if MIN_STATES * chains <= s <= x.shape[1]]
    sizes = {}
    for s in lengths:
        rows = problem.log_likelihood(x[:, :s].flatten(0, 1), observed.y.repeat_interleave(s, 0))
        projections = x[:, :s].flatten(2) @ directions
        sizes[s] = chain_diagnostics(rows.unflatten(0, (-1, s)), projections, chains)["ess_bulk"]
    return {str(s): size.nan_to_num(0, 0, 0).mean().item() for s, size in sizes.items()}


def in_words(found: dict) -> str:
    if not found:
        return ""
    cells = ", ".join(f"s = {cell['s']}: {cell['median']:.3g} s" for cell in found["curve"])
    return f"{cells}; {found['throughput']['samples_per_second']:.3g} samples/s at m = {found['throughput']['m']}"


if __name__ == "__main__":
    run(main, leased=False)
