"""Metrics of every method on one task: `python -m bench.evaluate specs/evaluate/<task>.json` writes metrics.csv.

A value or a reason for each method, seed, measurement and metric, in that order. The pseudo method `reference` is each
set of exact draws against the other, in blocks as large as the methods' sample sets, averaged over the blocks. Where
the prior is a map distilled from one with an exact posterior, `_total` metrics are taken against that one.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.artefacts import ArtefactError, Json, read_json, read_tensors, write_csv
from bench.cli import run
from bench.formulas.chains import MIN_STATES
from bench.metrics.compute import Truth, compute, compute_chains, compute_total
from bench.metrics.definitions import METRICS, Metric
from bench.metrics.rewards import BLOCK, compute_rewards
from bench.problems.bank import Observations, problem_of, read_observations
from bench.problems.exact import Conjugate, Enumeration
from bench.provenance import provenance
from bench.report.results import REFERENCE, num_measured
from bench.types import Cap

COLUMNS = ("task", "method", "seed", "observation", "metric", "value", "reason")
FLOATS_PER_CHUNK = 2**25  # of the largest temporary; 256 MiB in float64
OVERFLOWS = "n/a (value overflows)"
WHY_NOT_FINITE = {
    "exact": "n/a (exact posterior is a single point)",
    "chain": "n/a (chains do not move)",
    "reward": f"n/a (fewer than {BLOCK} samples)",
}
NO_REWARD = "n/a (measurement operator, no reward)"
NO_OPERATOR = "n/a (reward, no measurement operator)"
NO_TEACHER = "n/a (prior is not a distilled map of an exact one)"
WITH_FORMULA = (Conjugate.kind, Enumeration.kind)


@dataclass(frozen=True)
class Exact:
    """Exact draws x_a, x_b `(M, e, *x)` and moments `(M, *x)`; `why_not[i]` says why they are not admitted, or "".

    teacher: draws of the exact posterior under the prior that this one was distilled from, where there is such a prior.
    """

    x_a: Tensor
    x_b: Tensor
    mean: Tensor
    std: Tensor
    why_not: tuple[str, ...]
    moments_are_of_x_a: bool  # no formula gave them
    teacher: Exact | None = None

    def swapped(self) -> Exact:
        """The two sets in each other's place."""
        mean, std = (self.x_b.mean(1), self.x_b.std(1)) if self.moments_are_of_x_a else (self.mean, self.std)
        teacher = self.teacher and self.teacher.swapped()
        return Exact(self.x_b, self.x_a, mean, std, self.why_not, self.moments_are_of_x_a, teacher)


@dataclass(frozen=True)
class Truths:
    """What samples are compared with, in chunks of measurements; `of_teacher` is empty without one."""

    of_exact: tuple[Truth, ...]
    of_teacher: tuple[Truth, ...]


@dataclass(frozen=True)
class Scores:
    """Metrics of one run: values `(M,)` by id, and why a measurement has none or has no chain ("" where it has)."""

    method: str
    seed: int
    values: dict[str, Tensor]
    why_not: tuple[str, ...]
    why_no_chain: str


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    root, num_samples = Path(spec["root"]), spec["num_samples"]
    folder = root / "tasks" / spec["task"]
    observations = read_observations(folder / "observations.safetensors", torch.float64)
    exact = _read_exact(folder / "exact.safetensors", observations.header, num_samples)
    truths = _truths(observations, exact)
    scores = [_score_reference(observations, exact, num_samples)]
    for cell in spec["runs"]:
        path = root / "runs" / spec["task"] / cell["method"] / f"seed{cell['seed']}" / "samples.safetensors"
        tensors, header = _read_same_measurements(path, observations.header)
        scores.append(_score_run(tensors["x"], header, truths, num_samples, path))
    info = {
        "observations_sha256": observations.header["observations_sha256"],
        "definitions": {metric.id: metric.definition for metric in METRICS},
        "better": {metric.id: metric.better for metric in METRICS},
        "provenance": provenance(threads=torch.get_num_threads()),
    }
    write_csv(folder / "metrics.csv", _text(spec["task"], scores, exact, _has_operator(truths)), info)


def _read_same_measurements(path: Path, observations: Json) -> tuple[dict[str, Tensor], Json]:
    tensors, header = read_tensors(path)
    found, expected = header.get("observations_sha256"), observations["observations_sha256"]
    if found != expected:
        raise ArtefactError(
            f"{path}: was made from measurements {str(found)[:12]}, expected those of {observations['task']}, "
            f"{expected[:12]}; delete it and run the same command again"
        )
    return tensors, header


def _read_exact(path: Path, observations: Json, num_samples: int) -> Exact:
    tensors, header = _read_same_measurements(path, observations)
    num_draws = min(tensors["x_a"].shape[1], tensors["x_b"].shape[1])
    if num_draws < num_samples:
        raise ArtefactError(
            f"{path}: holds {num_draws} exact draws, expected num_samples = {num_samples} or more; raise num_reference"
        )
    finite = {name: tensor.nan_to_num(0, 0, 0) for name, tensor in tensors.items()}  # what is not admitted may hold NaN
    own = [finite[name] for name in ("x_a", "x_b", "mean", "std")]
    moments_are_of_x_a = header["kind"] not in WITH_FORMULA
    return Exact(*own, _why_not_admitted(header["reasons"]), moments_are_of_x_a, _teacher(finite, header))


def _teacher(tensors: dict[str, Tensor], header: Json) -> Exact | None:
    if "teacher_a" not in tensors:
        return None
    draws = [tensors[f"teacher_{name}"] for name in ("a", "b", "mean", "std")]
    reasons = header.get("teacher_reasons", [""] * len(draws[0]))  # none where a formula drew them
    return Exact(*draws, _why_not_admitted(reasons), moments_are_of_x_a=False)


def _why_not_admitted(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(reason and f"n/a (reference not admitted: {reason})" for reason in reasons)


def _truths(observations: Observations, exact: Exact) -> Truths:
    of_teacher = _chunks(observations, exact.teacher) if exact.teacher else ()
    return Truths(tuple(_chunks(observations, exact)), tuple(of_teacher))


def _chunks(observations: Observations, exact: Exact) -> Iterator[Truth]:
    """The measurements in chunks whose largest temporaries stay bounded."""
    num_draws, dimension = exact.x_a.shape[1], math.prod(exact.x_a.shape[2:])
    chunk = max(1, FLOATS_PER_CHUNK // (num_draws * (num_draws + dimension)))
    problem = problem_of(observations.header, tuple(observations.x_true.shape[1:]))
    whole = (observations.x_true, observations.y, exact.x_a, exact.mean, exact.std)
    for parts in zip(*(tensor.split(chunk) for tensor in whole), strict=True):
        yield Truth(problem, *(part.double() for part in parts))


def _has_operator(truths: Truths) -> bool:
    return Cap.RESIDUAL in truths.of_exact[0].problem.caps


def _score_reference(observations: Observations, exact: Exact, num_samples: int) -> Scores:
    by_block = []
    for one in (exact, exact.swapped()):
        truths = _truths(observations, one)
        num_blocks = one.x_b.shape[1] // num_samples
        blocks = one.x_b[:, : num_blocks * num_samples].split(num_samples, 1)
        by_block += [_values(block, truths) for block in blocks]
    mean = {name: torch.stack([values[name] for values in by_block]).mean(0) for name in by_block[0]}
    return Scores(REFERENCE, 0, mean, exact.why_not, "n/a (independent samples)")


def _score_run(x: Tensor, header: Json, truths: Truths, num_samples: int, path: Path) -> Scores:
    num = num_measured(header, len(x))
    left_out = (f"n/a (only the first {num} measurements)",) * (len(x) - num)
    if header["status"] != "ok":
        stopped = (f"{header['status']} ({header['reason']})",) * num
        return Scores(header["method"], header["seed"], {}, stopped + left_out, "")
    if x.shape[1] != num_samples:
        raise ArtefactError(
            f"{path}: holds {x.shape[1]} samples per measurement, expected {num_samples}; "
            "delete it and run the same command again"
        )
    num_broken = (~x[:num].flatten(2).isfinite().all(2)).sum(1).tolist()
    broken = tuple(f"failed ({n} of {num_samples} samples not finite)" if n else "" for n in num_broken)
    why_no_chain = _why_no_chain(header, num_samples)
    num_chains = 0 if why_no_chain else header["num_chains"]
    values = _values(x.nan_to_num(0, 0, 0), truths, num_chains)
    return Scores(header["method"], header["seed"], values, broken + left_out, why_no_chain)


def _why_no_chain(header: Json, num_samples: int) -> str:
    if header["joint"] != "chain":
        return f"n/a ({header['joint']} samples)"
    too_short = num_samples // header["num_chains"] < MIN_STATES
    return f"n/a (fewer than {MIN_STATES} states per chain)" if too_short else ""


def _values(x: Tensor, truths: Truths, num_chains: int = 0) -> dict[str, Tensor]:
    values = _in_chunks(compute, x, truths.of_exact)
    if truths.of_teacher:
        values |= _in_chunks(compute_total, x, truths.of_teacher)
    if not _has_operator(truths):
        values |= _in_chunks(lambda chunk, truth: compute_rewards(chunk, truth.problem, truth.y), x, truths.of_exact)
    if num_chains:
        values |= _in_chunks(partial(compute_chains, num_chains=num_chains), x, truths.of_exact)
    return values


def _in_chunks(
    metrics: Callable[[Tensor, Truth], dict[str, Tensor]], x: Tensor, truths: Sequence[Truth]
) -> dict[str, Tensor]:
    chunks = x.split(len(truths[0].x_true))
    parts = [metrics(chunk.double(), truth) for truth, chunk in zip(truths, chunks, strict=True)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _text(task: str, scores: Sequence[Scores], exact: Exact, has_operator: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    of_problem = {"": "", "operator": "" if has_operator else NO_OPERATOR, "reward": NO_REWARD if has_operator else ""}
    no_teacher = exact.teacher.why_not if exact.teacher else (NO_TEACHER,) * len(exact.why_not)
    for run_scores in scores:
        values = {name: tensor.tolist() for name, tensor in run_scores.values.items()}
        for i, (not_admitted, no_total) in enumerate(zip(exact.why_not, no_teacher, strict=True)):
            of_run = {"exact": not_admitted, "teacher": no_total, "chain": run_scores.why_no_chain}
            unmet = of_problem | of_run
            for metric in METRICS:
                cell = _cell(metric, i, values, run_scores.why_not[i] or unmet[metric.needs])
                writer.writerow((task, run_scores.method, run_scores.seed, i, metric.id, *cell))
    return out.getvalue()


def _cell(metric: Metric, i: int, values: dict[str, list], reason: str) -> tuple[str, str]:
    """Value and reason of one metric of measurement i, one of them empty."""
    if reason:
        return "", reason
    value = values[metric.id][i]
    return (f"{value:.9g}", "") if math.isfinite(value) else ("", WHY_NOT_FINITE.get(metric.needs, OVERFLOWS))


if __name__ == "__main__":
    run(main)
