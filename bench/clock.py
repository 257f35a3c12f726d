"""`python -m bench.clock specs/clock/<task>/<method>/seed<k>.json`: what a method's seconds are, alone on the machine.

For one measurement and a growing number of samples: a whole call that draws them all, once untimed and then repeated.
Then for more and more rows at once, until they are drawn no faster. Nothing is written or judged while time runs. Beside
them the effective number of samples of chains, from the run's stored samples. Writes timing.json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from bench.artefacts import Json, read_header, read_json, read_tensors, write_json
from bench.cli import UserError, run
from bench.cost import counted
from bench.cost.stopwatch import Timing, machine, measure
from bench.formulas.chains import MIN_STATES
from bench.lease import Busy, lease
from bench.metrics.compute import Truth, compute_chains
from bench.priors import load_prior, prior_path
from bench.problems.bank import Observations, first, problem_of, read_observations
from bench.problems.exact import exact_posterior
from bench.provenance import provenance
from bench.runs import NO_TRAINING, attempt, load_method, read_training, refuse_unmet, sample
from bench.types import Method, Prior, Problem, State

THREADS = 1  # as every job of a workflow
PATIENCE = 600.0  # seconds to wait for the machine
FASTER = 1.05  # what twice the rows must bring for a further doubling
LONGEST_CALL = 30.0  # seconds: no doubling beyond


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    try:
        with lease(alone=True, patience=PATIENCE):
            clock(spec)
    except Busy as words:
        raise UserError(f"{words}; a time taken beside it would be no time: run again when it has ended") from None


def clock(spec: dict) -> None:
    torch.set_num_threads(THREADS)
    root, task = Path(spec["root"]), spec["task"]
    folder = root / "runs" / task / spec["method"] / f"seed{spec['seed']}"
    observations = read_observations(root / "tasks" / task / "observations.safetensors")
    prior = load_prior(prior_path(root, spec["prior"], spec["family"]))
    plain = problem_of(observations.header, prior.shape)
    posterior = exact_posterior(prior, plain)
    problem = problem_of(observations.header, prior.shape, posterior if posterior.offered else None)
    trained, training, _ = read_training(folder) if spec.get("trains") else NO_TRAINING

    def timed() -> dict:
        method = load_method(spec["module"], spec["settings"])
        refuse_unmet(method, prior, problem)
        bench = Bench(method, prior, problem, observations, spec, trained.result)
        return {"curve": [bench.cell(1, s) for s in spec["clock"]["num_samples"]], "throughput": bench.throughput()}

    outcome = trained if trained.status != "ok" else attempt(timed)
    facts = {key: spec[key] for key in ("task", "method", "module", "settings", "seed")}
    facts |= {"joint": joint_of_run(folder), "status": outcome.status, "reason": outcome.reason, "threads": THREADS, "precision": "float64"}
    found = (outcome.result or {}) if outcome.status == "ok" else {}
    ess = effective(root, task, folder, problem, spec) if found else {}
    whole = facts | found | {"ess": ess} | training | {"machine": machine(torch.device("cpu"))}
    write_json(folder / "timing.json", whole | {"provenance": provenance(threads=THREADS)})
    print(f"{task} {spec['method']}: {in_words(found) or outcome}")


@dataclasses.dataclass(frozen=True)
class Bench:
    """A method with all that a call of it needs."""

    method: Method
    prior: Prior
    problem: Problem
    observations: Observations
    spec: Json
    state: State | None

    def call(self, m: int, s: int, prior: Prior | None = None) -> Tensor:
        spec = self.spec | {"num_samples": s, "rows_per_chunk": m * s}
        return sample(self.method, prior or self.prior, self.problem, first(self.observations, m), spec, self.state)

    def cell(self, m: int, s: int) -> dict:
        """Seconds of a call for m measurements and s samples of each, network rows and memory."""
        timing = measure(lambda: self.call(m, s), torch.device("cpu"), fewest=self.spec["clock"]["repeats"])
        metered, meter = counted(self.prior)
        self.call(m, s, metered)
        return {"m": m, "s": s, "nfe": meter.nfe(m * s), "nfe_vjp": meter.nfe_vjp(m * s)} | content(timing)

    def throughput(self) -> dict:
        """The cell with the most samples per second among m = 1, 2, 4, ... measurements at the largest s."""
        s, best = max(self.spec["clock"]["num_samples"]), None
        for m in doubling(len(self.observations.y)):
            cell = self.cell(m, s)
            cell["samples_per_second"] = m * s / cell["median"]
            if best and cell["samples_per_second"] < FASTER * best["samples_per_second"]:
                break
            best = cell
            if cell["median"] > LONGEST_CALL:
                break
        return best


def doubling(end: int) -> Iterator[int]:
    m = 1
    while m <= end:
        yield m
        m *= 2


def content(timing: Timing) -> dict:
    low, high = timing.quartiles
    numbers = {"median": timing.median, "low": low, "high": high, "repeats": len(timing.seconds)}
    return numbers | {"cpu_share": timing.cpu_share, "peak": timing.peak, "joules": timing.joules}


def effective(root: Path, task: str, folder: Path, problem: Problem, spec: dict) -> dict[str, float]:
    """Effective number of the first s samples of a run's chains, by s; the mean over its measurements."""
    tensors, header = read_tensors(folder / "samples.safetensors")
    if header["status"] != "ok" or header["joint"] != "chain":
        return {}
    x, chains = tensors["x"][: header["num_measurements"]].double(), header["num_chains"]
    observed = first(read_observations(root / "tasks" / task / "observations.safetensors"), len(x))
    exact, _ = read_tensors(root / "tasks" / task / "exact.safetensors")
    parts = (exact[name][: len(x)].double() for name in ("x_a", "mean", "std"))
    truth = Truth(problem, observed.x_true, observed.y, *parts)
    lengths = [s for s in spec["clock"]["num_samples"] if MIN_STATES * chains <= s <= x.shape[1]]
    sizes = {s: compute_chains(x[:, :s], truth, chains)["ess_bulk"] for s in lengths}
    return {str(s): size.nan_to_num(0, 0, 0).mean().item() for s, size in sizes.items()}


def joint_of_run(folder: Path) -> str:
    return read_header(folder / "samples.safetensors")["joint"]


def in_words(found: dict) -> str:
    if not found:
        return ""
    cells = ", ".join(f"s = {cell['s']}: {cell['median']:.3g} s" for cell in found["curve"])
    return f"{cells}; {found['throughput']['samples_per_second']:.3g} samples/s at m = {found['throughput']['m']}"


if __name__ == "__main__":
    run(main, leased=False)
