"""`python -m bench.stages.train specs/train/<task>/<method>/seed<k>.json`: train a method for a task, before any sampling.

It sees the task's prior and problem, and no measurement: there is none among its inputs. A method that cannot run here
or fails leaves a state without tensors that says why. What training cost is in training.json, so that the state of a
repeated run has the same bits.
"""

from __future__ import annotations

from pathlib import Path

import torch

from bench.core.artefacts import read_header, read_json, write_json, write_tensors
from bench.core.compute import Compute, compute_of
from bench.core.provenance import provenance
from bench.core.types import Prior, Problem, State
from bench.priors import load_prior, prior_path
from bench.problems.measurements import problem_of
from bench.runtime.devices import computing, prepared
from bench.runtime.job import run
from bench.runtime.metering import counted
from bench.runtime.run_method import attempt, load_method, refuse_unmet, train


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    prior_file = prior_path(spec["root"], spec["prior"], spec["family"])
    compute = compute_of(spec)
    with computing(compute) as device:
        prior = prepared(load_prior(prior_file, compute.dtype, device), compute)
        metered_prior, network = counted(prior)
        problem = problem_of(spec, prior.shape, device=device)
        outcome = attempt(lambda: trained(spec, metered_prior, problem, compute))

    facts = {key: spec[key] for key in ("task", "method", "module", "settings", "seed")}
    header = facts | {"status": outcome.status, "reason": outcome.reason}
    header |= {"nfe": network.forward, "nfe_vjp": network.backward}  # rows in all
    header |= {"prior_sha256": read_header(prior_file)["sha256"]}
    folder = Path(spec["root"]) / "runs" / spec["task"] / spec["method"] / f"seed{spec['seed']}"
    spent = {"seconds": outcome.seconds, "threads": torch.get_num_threads()}
    write_json(folder / "training.json", header | spent | (compute.facts if compute != Compute() else {}))
    header["provenance"] = provenance(threads=torch.get_num_threads())
    write_tensors(folder / "state.safetensors", outcome.result or {}, header)
    print(f"{spec['task']} {spec['method']} seed {spec['seed']}: training {outcome}")


def trained(spec: dict, prior: Prior, problem: Problem, compute: Compute) -> State:
    method = load_method(spec["module"], spec["settings"])
    refuse_unmet(method, prior, problem)
    return train(method, prior, problem, spec, compute.dtype, compute.device)


if __name__ == "__main__":
    run(main)
