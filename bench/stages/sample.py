"""`python -m bench.stages.sample specs/runs/<task>/<method>/seed<k>.json`: all posterior samples of one run, and their cost.

A method that cannot run here or fails leaves a file without samples that says why, so that the other methods' results
are made all the same. A run restricted to the first measurements has NaN for the others.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import read_header, read_json, write_json, write_tensors
from bench.core.compute import Compute, compute_of
from bench.core.provenance import provenance
from bench.core.specs import Budget
from bench.core.types import Cap, Joint, Prior, Problem, State
from bench.priors import load_prior, prior_path
from bench.problems.measurements import Measurements, first, problem_of, read_measurements
from bench.problems.posteriors import posterior_of
from bench.runtime.batch_size import rows_of_network
from bench.runtime.devices import computing, moved, prepared
from bench.runtime.job import run
from bench.runtime.metering import Meter, counted, counted_problem, limits_of
from bench.runtime.run_method import NO_TRAINING, attempt, joint_of, load_method, read_training, refuse_unmet, sample


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    compute = compute_of(spec)
    with computing(compute) as device:
        run_of(spec, compute, device)


def run_of(spec: dict, compute: Compute, device: torch.device) -> None:
    root, task, num_samples = Path(spec["root"]), spec["task"], spec["num_samples"]
    folder = root / "runs" / task / spec["method"] / f"seed{spec['seed']}"
    everything = read_measurements(root / "tasks" / task / "observations.safetensors", compute.dtype, device)
    observations = first(everything, spec.get("num_measurements"))
    prior_file = prior_path(root, spec["prior"], spec["family"])
    prior = prepared(load_prior(prior_file, compute.dtype, device), compute)
    plain = problem_of(everything.header, prior.shape, device=device)
    posterior = posterior_of(prior, plain)
    problem = problem_of(everything.header, prior.shape, posterior if posterior.offered else None, device)
    spec = spec | chunk_of(spec, prior, compute, device)
    budget = Budget(**spec["budget"]) if spec.get("budget") else None
    limits = limits_of(budget, len(observations.y) * num_samples)
    (metered_prior, network), (metered_problem, operator) = counted(prior, limits), counted_problem(problem)

    trained, training, state_sha256 = read_training(folder) if spec.get("trains") else NO_TRAINING
    outcome = trained  # a run whose training came to nothing shares its fate
    if trained.status == "ok":
        state = moved(trained.result, device)
        outcome = attempt(lambda: draw(spec, metered_prior, metered_problem, observations, state))

    num_measurements = len(everything.y)
    empty = torch.empty(num_measurements, 0, *prior.shape, device=device)
    x, joint, num_chains = outcome.result if outcome.status == "ok" else (empty, "independent", None)
    facts = {key: spec[key] for key in ("task", "method", "module", "settings", "seed")}
    header = facts | {"status": outcome.status, "reason": outcome.reason, "joint": joint, "num_chains": num_chains}
    header["num_measurements"] = len(observations.y)
    header["observations_sha256"] = everything.header["observations_sha256"]
    header["prior_sha256"], header["state_sha256"] = read_header(prior_file)["sha256"], state_sha256
    header["provenance"] = provenance(compute.device, torch.get_num_threads())
    header |= {"precision": compute.precision} if compute != Compute() else {}
    rows = len(observations.y) * num_samples
    spent = cost(network, operator, rows, outcome.seconds) | {"rows_per_chunk": spec["rows_per_chunk"]}
    write_json(folder / "cost.json", facts | spent | compute.facts | training)
    write_tensors(folder / "samples.safetensors", {"x": padded(x.float(), num_measurements)}, header)
    print(f"{task} {spec['method']} seed {spec['seed']}: {outcome}")


def chunk_of(spec: dict, prior: Prior, compute: Compute, device: torch.device) -> dict:
    """The number that `rows_per_chunk: auto` stands for on this machine; nothing where the suite gave one."""
    if spec["rows_per_chunk"] != "auto":
        return {}
    if not (Cap.DENOISER | Cap.DECODER) & prior.caps:
        return {"rows_per_chunk": 1024}
    return {"rows_per_chunk": rows_of_network(prior, compute.dtype, device).rows}


def draw(
    spec: dict, prior: Prior, problem: Problem, observations: Measurements, state: State | None
) -> tuple[Tensor, Joint, int | None]:
    """Samples (m, s, *x), how those of one measurement hang together, and of how many chains they are states."""
    method = load_method(spec["module"], spec["settings"])
    joint, num_chains = joint_of(method, spec["num_samples"])
    refuse_unmet(method, prior, problem)
    return sample(method, prior, problem, observations, spec, state), joint, num_chains


def padded(x: Tensor, num_measurements: int) -> Tensor:
    """x (m, s, *x) with NaN for the measurements that were not asked for."""
    full = x.new_full((num_measurements, *x.shape[1:]), torch.nan)
    full[: len(x)] = x
    return full


def cost(network: Meter, operator: Meter, rows: int, seconds: float | None) -> dict:
    """Cost per posterior sample; `seconds` is the whole job's, for orientation only: the clock is a rule of its own."""
    return {
        "nfe": network.nfe(rows),
        "nfe_vjp": network.nfe_vjp(rows),
        "operator_calls": operator.nfe(rows),
        "rows": rows,
        "seconds": seconds,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    run(main)
