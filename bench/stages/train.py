"""`python -m bench.stages.train specs/train/<task>/<method>/seed<k>.json`: train a method, before any sampling.

Training sees the task's prior and problem, and no measurement: there is none among its inputs. Where a method cannot
run, fails, or ends its process, a state without tensors says why. The cost of training is in a file of its own,
training.json, so that a repeated run writes the same state to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from bench.core.artefacts import read_header, write_json, write_tensors
from bench.core.compute import Compute
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.specs import TrainSpec
from bench.core.types import Prior, State
from bench.runtime.containment import Ending, hold
from bench.runtime.devices import clock_of, computing
from bench.runtime.job import run
from bench.runtime.metering import counted
from bench.runtime.progress import reported
from bench.runtime.run_method import RunResult, attempt, load_method, refuse_unmet, train
from bench.task import Task, open_for_training


def main(spec_path: str) -> None:
    spec = TrainSpec.read(spec_path)
    hold(spec.limits)
    compute = spec.compute
    with computing(compute) as device:
        task = open_for_training(spec, compute, device)
        metered_prior, network = counted(task.prior)
        what = f"train {spec.task} {spec.method} seed {spec.seed}, network rows"
        with reported(lambda: network.forward + network.backward, None, what):
            run_result = attempt(lambda: trained(spec, metered_prior, task), clock_of(device))

    rows = {"nfe": network.forward, "nfe_vjp": network.backward}
    write(spec, run_result, rows, task.prior_sha256)
    print(f"{spec.task} {spec.method} seed {spec.seed}: training {run_result}")


def write(
    spec: TrainSpec, run_result: RunResult[State], rows: Mapping[str, float], prior_sha256: str
) -> None:
    """Write the state, and its cost. rows: through the network in all."""
    files, compute = spec.layout.run(spec.task, spec.method, spec.seed), spec.compute
    header = spec.run_facts | {"status": run_result.status, "reason": run_result.reason}
    header |= {**rows, "prior_sha256": prior_sha256}
    spent = {"seconds": run_result.seconds, "threads": torch.get_num_threads()}
    write_json(files.training, header | spent | (compute.facts if compute != Compute() else {}))
    header["provenance"] = provenance(threads=torch.get_num_threads(), packages=spec.packages)
    write_tensors(files.state, run_result.result or {}, header)
    note_failure(files.state, run_result.reason, run_result.is_passing)


def outputs(spec_path: str) -> tuple[Path, Path]:
    """Return the files of a training that `main` writes."""
    spec = TrainSpec.read(spec_path)
    files = spec.layout.run(spec.task, spec.method, spec.seed)
    return files.training, files.state


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write the files of a training whose process has ended without writing them: no tensors, and an unknown cost."""
    spec = TrainSpec.read(spec_path)
    prior_sha256 = read_header(spec.layout.prior(spec.prior, spec.family))["sha256"]
    status = "n/a" if ending.status == "n/a" else "failed"
    rows = {"nfe": math.nan, "nfe_vjp": math.nan}
    write(spec, RunResult(status, ending.reason), rows, prior_sha256)
    state = spec.layout.run(spec.task, spec.method, spec.seed).state
    note_failure(state, ending.reason, ending.is_passing, ending.over(spec.limits))


def trained(spec: TrainSpec, prior: Prior, task: Task) -> State:
    """Return the state of the method after it was trained on a metered prior."""
    method = load_method(spec.module, spec.settings)
    refuse_unmet(method, prior, task.problem)
    return train(
        method, prior, task.problem, spec.task, spec.seed, spec.compute.dtype, spec.compute.device
    )


if __name__ == "__main__":
    run(main, failed=write_failed, outputs=outputs)
