"""`python -m bench.stages.sample specs/runs/<task>/<method>/seed<k>.json`: draw the samples of a run, at a known cost.

Where a method cannot run, fails, or ends its process, a file without samples says why, so that the results of other
methods are made all the same. A run restricted to the first measurements has NaN for the others.
"""

from __future__ import annotations

import contextlib
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import Json, read_header, write_json, write_tensors
from bench.core.compute import Compute
from bench.core.kinds import kind_of
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.specs import Budget, RunSpec
from bench.core.types import Cap, Joint, Method, Prior, State
from bench.problems.measurements import read_size
from bench.runtime.alone import interaction
from bench.runtime.batch_size import rows_of_network
from bench.runtime.containment import Ending, hold, hold_to_budget
from bench.runtime.devices import clock_of, computing, moved
from bench.runtime.job import run
from bench.runtime.metering import Meter, counted, counted_problem, limits_of, over_budget
from bench.runtime.progress import reported
from bench.runtime.run_method import (
    NO_TRAINING,
    Draws,
    RunResult,
    attempt,
    borrowed_caps,
    declared_kind,
    diagnose,
    joint_of,
    load_method,
    read_training,
    refuse_unmet,
    sample,
    trainable,
)
from bench.task import Task, open_task

BEYOND = 1000.0  # samples with larger values have diverged: images are between -1 and 1


def main(spec_path: str) -> None:
    spec = RunSpec.read(spec_path)
    hold(spec.limits)
    with computing(spec.compute) as device:
        drawn = write_run(spec, device)
    samples = spec.layout.run(spec.task, spec.method, spec.seed).samples
    note_failure(samples, drawn.reason, drawn.is_passing)
    print(f"{spec.task} {spec.method} seed {spec.seed}: {drawn}")


def write_run(spec: RunSpec, device: torch.device) -> RunResult:
    """Draw the samples of a run on `device`, write them with their cost, and return how that ended."""
    compute, files = spec.compute, spec.layout.run(spec.task, spec.method, spec.seed)
    everything = open_task(spec, compute, device)
    task = everything.first(spec.num_measurements)
    rows = len(task.y) * spec.num_samples
    draws = Draws(spec.task, spec.seed, spec.num_samples, chunk_of(spec, task.prior, device))
    metered_prior, network = counted(task.prior, limits_of(spec.budget, rows))
    (metered_problem, operator) = counted_problem(task.problem)
    metered = replace(task, prior=metered_prior, problem=metered_problem)

    trained, training, state_sha256 = read_training(files) if spec.trains else NO_TRAINING
    drawn = trained  # where training has failed, so has the run
    if trained.status == "ok":
        state = moved(trained.result, device)
        drawn = attempt(lambda: draw(spec, draws, metered, state, network), clock_of(device))

    num_measurements = len(everything.y)
    empty = torch.empty(num_measurements, 0, *task.prior.shape, device=device)
    x, joint, num_chains = drawn.result if drawn.status == "ok" else (empty, "independent", None)
    said = diagnosis(spec, draws, task, trained.result) if drawn.status == "ok" else {}
    header = header_of(spec, task, drawn, joint, num_chains, state_sha256)
    header |= oddities(interacting(spec, draws, task, trained.result, x), x)
    spent = cost(network, operator, rows, drawn.seconds) | {"rows_per_chunk": draws.rows_per_chunk}
    write_json(files.cost, spec.run_facts | spent | compute.facts | training)
    tensors = {"x": x.float()} | said
    padded_tensors = {name: padded(part, num_measurements) for name, part in tensors.items()}
    write_tensors(files.samples, padded_tensors, header)
    return drawn


def oddities(interacts: str, x: Tensor) -> Json:
    """Return the marks of tables: how rows interact, and how many of the samples (m, s, *x) have diverged."""
    num_beyond = int((x.abs() > BEYOND).flatten(2).any(2).sum()) if x.numel() else 0
    found = {"interacts": interacts, "diverged": num_beyond}
    return {name: value for name, value in found.items() if value}


def grace_of(budget: Budget | None, rows: int) -> tuple[float | None, str]:
    """Return the seconds after which a run is ended from outside, and the reason to record, that of its budget.

    A budget is checked only before each call of the network: twice its seconds and 10 s leave room for a slow call.
    """
    if budget is None or budget.seconds is None:
        return None, ""
    return 2 * budget.seconds + 10, over_budget(limits_of(budget, rows))


def chunk_of(spec: RunSpec, prior: Prior, device: torch.device) -> int:
    """Return the rows of a chunk; for `auto`, the number that this machine draws fastest."""
    if isinstance(spec.rows_per_chunk, int):
        return spec.rows_per_chunk
    if not (Cap.DENOISER | Cap.DECODER) & prior.caps:
        return 1024
    return rows_of_network(prior, spec.compute.dtype, device).rows


def draw(
    spec: RunSpec, draws: Draws, task: Task, state: State | None, network: Meter
) -> tuple[Tensor, Joint, int | None]:
    """Return samples (m, s, *x), how those of one measurement are related, and the number of their chains or None.

    network: the meter of the task's prior, which shows how far the method has come.
    """
    method = load_method(spec.module, spec.settings)
    if trainable(method) and not spec.trains:
        raise ValueError(
            "has `train`, which its suite does not see; see posterior-bench conformance"
        )
    joint, num_chains = joint_of(method, spec.num_samples)
    refuse_unmet(method, task.prior, task.problem)
    hold_to_budget(*grace_of(spec.budget, len(task.y) * spec.num_samples))
    total = expected_rows(method, task.prior, spec.num_samples, len(task.y))
    what = f"sample {spec.task} {spec.method} seed {spec.seed}, network rows"
    with reported(lambda: network.forward + network.backward, total, what):
        x = sample(method, task.prior, task.problem, task.measured, draws, state)
    hold_to_budget(None)
    return x, joint, num_chains


def expected_rows(method: Method, prior: Prior, num_samples: int, m: int) -> int | None:
    """Return the network rows that a method says it takes for m measurements; None where it does not say."""
    with contextlib.suppress(Exception):  # that of a wrapped method may be missing
        nfe = method.nfe(prior, num_samples)
        return round((nfe.forward + nfe.backward) * m * num_samples)
    return None


def diagnosis(spec: RunSpec, draws: Draws, task: Task, state: State | None) -> dict[str, Tensor]:
    """Return the method's diagnoses of its own sampler, (m,) by the names of tensors; no cost counts them."""
    state = moved(state, task.y.device)
    method = load_method(spec.module, spec.settings)
    said = attempt(lambda: diagnose(method, task.prior, task.problem, task.measured, draws, state))
    if said.status != "ok":
        print(f"{spec.task} {spec.method}: diagnose {said}", file=sys.stderr)
    return {f"diagnosis.{name}": values for name, values in (said.result or {}).items()}


def interacting(spec: RunSpec, draws: Draws, task: Task, state: State | None, x: Tensor) -> str:
    """Return how samples depend on what is computed beside them, "" where they do not; no cost counts this check."""
    exact = spec.compute.precision in (
        "float64",
        "float32",
    )  # in others, rounding depends on the size of a batch
    if not x.numel() or len(x) * x.shape[1] == 1 or not exact:
        return ""
    method, state = load_method(spec.module, spec.settings), moved(state, task.y.device)
    return interaction(method, task.prior, task.problem, task.first(1).measured, draws, state, x)


def header_of(
    spec: RunSpec,
    task: Task,
    drawn: RunResult,
    joint: Joint,
    num_chains: int | None,
    state_sha256: str | None,
) -> Json:
    """Return the header of a file of samples: facts of the run, and hashes of the files that it was made from."""
    header = spec.run_facts | {"status": drawn.status, "reason": drawn.reason}
    header |= {"joint": joint, "num_chains": num_chains, "num_measurements": len(task.y)}
    method = attempt(lambda: load_method(spec.module, spec.settings)).result
    header["kind"] = kind_of(method)
    header["observations_sha256"] = task.header["observations_sha256"]
    if borrowed := borrowed_of(spec, task.prior):
        header["borrowed"] = borrowed
    header |= {"prior_sha256": task.prior_sha256, "state_sha256": state_sha256}
    header["provenance"] = provenance(spec.compute.device, torch.get_num_threads(), spec.packages)
    return header | ({"precision": spec.compute.precision} if spec.compute != Compute() else {})


def borrowed_of(spec: RunSpec, prior: Prior) -> list[str]:
    """Return the names of the capabilities used by the method that the prior borrows from another prior."""
    caps = attempt(lambda: borrowed_caps(load_method(spec.module, spec.settings), prior)).result
    return [str(cap.name) for cap in caps or Cap.NONE]


def padded(x: Tensor, num_measurements: int) -> Tensor:
    """Return x (m, s, *x) with rows of NaN for the measurements that were not asked for."""
    full = x.new_full((num_measurements, *x.shape[1:]), torch.nan)
    full[: len(x)] = x
    return full


def outputs(spec_path: str) -> tuple[Path, Path]:
    """Return the files of a run that `main` writes."""
    spec = RunSpec.read(spec_path)
    files = spec.layout.run(spec.task, spec.method, spec.seed)
    return files.cost, files.samples


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write the files of a run whose process has ended without writing them: no samples, and an unknown cost."""
    spec = RunSpec.read(spec_path)
    files = spec.layout.run(spec.task, spec.method, spec.seed)
    num, x_shape, measured = read_size(spec.layout.task(spec.task).measurements)
    num_measurements = min(spec.num_measurements or num, num)
    header = spec.run_facts | {"status": ending.status, "reason": ending.reason}
    header |= {"joint": "independent", "num_chains": None, "num_measurements": num_measurements}
    header |= {"kind": declared_kind(spec.module), "state_sha256": None}
    header["observations_sha256"] = measured["observations_sha256"]
    header["prior_sha256"] = read_header(spec.layout.prior(spec.prior, spec.family))["sha256"]
    header["provenance"] = provenance(spec.compute.device, packages=spec.packages)
    nothing = Meter(math.nan, math.nan)
    spent = cost(nothing, nothing, num_measurements * spec.num_samples, None)
    training = read_training(files)[1] if spec.trains else NO_TRAINING[1]
    write_json(files.cost, spec.run_facts | spent | spec.compute.facts | training)
    write_tensors(files.samples, {"x": torch.empty(num, 0, *x_shape)}, header)
    note_failure(files.samples, ending.reason, ending.is_passing, ending.over(spec.limits))


def cost(network: Meter, operator: Meter, rows: int, seconds: float | None) -> dict:
    """Return the cost per posterior sample; seconds: of the whole call, for orientation only, since others may run."""
    return {
        "nfe": network.nfe(rows),
        "nfe_vjp": network.nfe_vjp(rows),
        "operator_calls": operator.nfe(rows),
        "rows": rows,
        "seconds": seconds,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    run(main, failed=write_failed, outputs=outputs)
