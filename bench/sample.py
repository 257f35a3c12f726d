"""`python -m bench.sample specs/runs/<task>/<method>/seed<k>.json`: all posterior samples of one run, and their cost.

A method that cannot run here or fails leaves a file without samples that says why, so that the other methods' results
are made all the same.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from bench.artefacts import read_header, read_json, write_json, write_tensors
from bench.cli import run
from bench.cost import Meter, counted, counted_problem
from bench.priors import load_prior, prior_path
from bench.problems.bank import Observations, problem_of, read_observations
from bench.problems.exact import exact_posterior
from bench.provenance import provenance
from bench.rng import Rng
from bench.types import Cap, Joint, Method, Prior, Problem


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


def load_method(module: str, settings: dict) -> Method:
    """The class that `methods/<module>.py` names in `__all__`, with its hyperparameters."""
    found = importlib.import_module(f"methods.{module}")
    names = getattr(found, "__all__", None)
    cls = getattr(found, str(names[0]), None) if isinstance(names, (list, tuple)) and len(names) == 1 else None
    if not isinstance(cls, type):
        raise ValueError(f"__all__ is {names} in methods/{module}.py; expected exactly one name, that of its class")
    return cls(**settings)


def joint_of(method: Method, num_samples: int) -> tuple[Joint, int | None]:
    """How the samples of one measurement hang together, and of how many chains they are states."""
    joint = getattr(method, "joint", "independent")
    if joint not in get_args(Joint):
        raise ValueError(f"joint is {joint!r}; expected one of {', '.join(get_args(Joint))}")
    if joint != "chain":
        return joint, None
    if not isinstance(method.num_chains, int) or method.num_chains < 1:
        raise ValueError(f"num_chains is {method.num_chains!r}; expected a positive integer")
    return joint, min(method.num_chains, num_samples)


def missing_caps(method: Method, prior: Prior, problem: Problem) -> str:
    """Names of the capabilities that the method needs and this pair lacks, comma-separated."""
    missing = method.needs & ~(prior.caps | problem.caps)
    return ", ".join(cap.name for cap in Cap if cap in missing)


def sample(method: Method, prior: Prior, problem: Problem, observations: Observations, spec: dict) -> Tensor:
    """Samples (m, s, *x), drawn in chunks of at most `rows_per_chunk` rows where that is up to us."""
    m, s = len(observations.y), spec["num_samples"]
    splits = joint_of(method, s)[0] == "independent"
    ids, axes = observations.image_id.tolist(), ("sample", spec["task"], spec["method"], spec["seed"])
    x = observations.x_true.new_empty(m, s, *prior.shape)
    for rows, samples in chunks(m, s, spec["rows_per_chunk"], splits):
        rng = Rng(axes, ids[rows], samples, dtype=x.dtype)
        y = observations.y[rows].clone()
        drawn = method.sample(prior, problem, y, len(samples), rng=rng)
        refuse_malformed(drawn, (len(y), len(samples), *prior.shape))
        x[rows, samples.start : samples.stop] = drawn.detach()
    if not x.isfinite().flatten(2).all(2).any():
        raise ValueError("no sample is finite")
    return x


def refuse_malformed(drawn: object, expected: tuple[int, ...]) -> None:
    if not isinstance(drawn, Tensor) or tuple(drawn.shape) != expected:
        came = tuple(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
        raise ValueError(f"sample() returned {came}, expected a tensor of shape {expected}")
    if not drawn.is_floating_point():
        raise ValueError(f"sample() returned {drawn.dtype}, expected floating-point numbers")


def chunks(m: int, s: int, rows_per_chunk: int, splits_samples: bool) -> Iterator[tuple[slice, range]]:
    """Which measurements and which of their samples go into one call."""
    width = min(s, rows_per_chunk) if splits_samples else s
    height = max(1, rows_per_chunk // s)
    for i in range(0, m, height):
        for j in range(0, s, width):
            yield slice(i, min(i + height, m)), range(j, min(j + width, s))


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
