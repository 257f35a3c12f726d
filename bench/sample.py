"""`python -m bench.sample specs/runs/<task>/<method>/seed<k>.json`: all posterior samples of one run, and their cost.

A method that cannot run here or fails leaves a file without samples that says why, so that the other methods' results
are made all the same.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from bench.artefacts import read_header, read_json, write_json, write_tensors
from bench.cli import run
from bench.cost import Meter, counted, counted_problem
from bench.priors import load_prior, prior_path
from bench.problems.bank import problem_of, read_observations
from bench.problems.exact import exact_posterior
from bench.provenance import provenance
from bench.runs import joint_of, load_method, missing_caps, sample


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    root, task = Path(spec["root"]), spec["task"]
    observations = read_observations(root / "tasks" / task / "observations.safetensors")
    prior_file = prior_path(root, spec["prior"], spec["family"])
    prior = load_prior(prior_file)
    plain = problem_of(observations.header, prior.shape)
    problem = problem_of(observations.header, prior.shape, exact_posterior(prior, plain))
    (metered_prior, network), (metered_problem, operator) = counted(prior), counted_problem(problem)

    begin, joint, num_chains = time.perf_counter(), "independent", None
    try:
        method = load_method(spec["module"], spec["settings"])
        joint, num_chains = joint_of(method, spec["num_samples"])
        missing = missing_caps(method, prior, problem)
        status, reason = ("n/a", f"needs {missing}") if missing else ("ok", "")
        x = sample(method, metered_prior, metered_problem, observations, spec) if status == "ok" else None
    except (Exception, SystemExit) as error:  # what a dropped-in method does wrong is its result, not the harness's end
        x, status, reason = None, "failed", in_words(error)
    seconds = time.perf_counter() - begin

    facts = {key: spec[key] for key in ("task", "method", "module", "settings", "seed")}
    header = facts | {"status": status, "reason": reason, "joint": joint, "num_chains": num_chains}
    header["observations_sha256"] = observations.header["observations_sha256"]
    header["prior_sha256"] = read_header(prior_file)["sha256"]
    header["provenance"] = provenance(threads=torch.get_num_threads())
    rows = len(observations.y) * spec["num_samples"]
    folder = root / "runs" / task / spec["method"] / f"seed{spec['seed']}"
    write_json(folder / "cost.json", facts | cost(network, operator, rows, seconds if status == "ok" else None))
    empty = torch.empty(len(observations.y), 0, *prior.shape)
    write_tensors(folder / "samples.safetensors", {"x": empty if x is None else x.float()}, header)
    print(f"{task} {spec['method']} seed {spec['seed']}: {status} {reason} in {seconds:.1f} s".replace("  ", " "))


def cost(network: Meter, operator: Meter, rows: int, seconds: float | None) -> dict:
    """Cost per posterior sample; `seconds` is the whole job's, for orientation only: the clock is a rule of its own."""
    return {
        "nfe": network.nfe(rows),
        "nfe_vjp": network.nfe_vjp(rows),
        "operator_calls": operator.nfe(rows),
        "rows": rows,
        "seconds": seconds,
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "precision": "float64",
    }


def in_words(error: BaseException) -> str:
    """Kind and first line of an error."""
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first_line}"


if __name__ == "__main__":
    run(main)
