"""Metrics of every method on one task: `python -m bench.evaluate specs/evaluate/<task>.json` writes metrics.csv.

A value or a reason for each method, seed, measurement and metric, in that order. The pseudo method `reference` is each
set of exact draws against the other, in blocks as large as the methods' sample sets, averaged over the blocks.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.artefacts import ArtefactError, Json, read_json, read_tensors, write_csv
from bench.cli import run
from bench.formulas.chains import MIN_STATES
from bench.metrics.compute import Truth, compute, compute_chains
from bench.metrics.definitions import METRICS, Metric
from bench.problems.bank import Observations, problem_of, read_observations
from bench.problems.exact import TemperedSMC
from bench.provenance import provenance
from bench.report.results import REFERENCE

COLUMNS = ("task", "method", "seed", "observation", "metric", "value", "reason")
FLOATS_PER_CHUNK = 2**25  # of the largest temporary; 256 MiB in float64
WHY_NOT_FINITE = {
    "": "n/a (value overflows)",
    "exact": "n/a (exact posterior is a single point)",
    "chain": "n/a (chains do not move)",
}


@dataclass(frozen=True)
class Exact:
    """Exact draws x_a, x_b `(M, e, *x)` and moments `(M, *x)`; `why_not[i]` says why they are not admitted, or ""."""

    x_a: Tensor
    x_b: Tensor
    mean: Tensor
    std: Tensor
    why_not: tuple[str, ...]
    moments_are_of_x_a: bool  # no formula gave them

    def swapped(self) -> Exact:
        """The two sets in each other's place."""
        mean, std = (self.x_b.mean(1), self.x_b.std(1)) if self.moments_are_of_x_a else (self.mean, self.std)
        return Exact(self.x_b, self.x_a, mean, std, self.why_not, self.moments_are_of_x_a)


@dataclass(frozen=True)
class Scores:
    """Metrics of one run: values `(M,)` by id, and why a measurement or a metric has none ("" where it has)."""

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
    truths = list(_truths(observations, exact))
    scores = [_score_reference(observations, exact, num_samples)]
    for cell in spec["runs"]:
        path = root / "runs" / spec["task"] / cell["method"] / f"seed{cell['seed']}" / "samples.safetensors"
        tensors, header = _read_same_measurements(path, observations.header)
        scores.append(_score_run(tensors["x"], header, truths, num_samples, path))
    info = {
        "observations_sha256": observations.header["observations_sha256"],
        "definitions": {metric.id: metric.definition for metric in METRICS},
        "provenance": provenance(threads=torch.get_num_threads()),
    }
    write_csv(folder / "metrics.csv", _text(spec["task"], scores, exact), info)


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
    why_not = tuple(
        "" if admitted else f"n/a (reference not admitted: {reason})"
        for admitted, reason in zip(header["admitted"], header["reasons"], strict=True)
    )
    finite = {name: tensor.nan_to_num(0, 0, 0) for name, tensor in tensors.items()}  # what is not admitted may hold NaN
    return Exact(**finite, why_not=why_not, moments_are_of_x_a=header["kind"] == TemperedSMC.kind)


def _truths(observations: Observations, exact: Exact) -> Iterator[Truth]:
    """The measurements in chunks whose largest temporaries stay bounded."""
    num_draws, dimension = exact.x_a.shape[1], math.prod(exact.x_a.shape[2:])
    chunk = max(1, FLOATS_PER_CHUNK // (num_draws * (num_draws + dimension)))
    problem = problem_of(observations.header, tuple(observations.x_true.shape[1:]))
    whole = (observations.x_true, observations.y, exact.x_a, exact.mean, exact.std)
    for parts in zip(*(tensor.split(chunk) for tensor in whole), strict=True):
        yield Truth(problem, *(part.double() for part in parts))


def _score_reference(observations: Observations, exact: Exact, num_samples: int) -> Scores:
    by_block = []
    for one in (exact, exact.swapped()):
        truths = list(_truths(observations, one))
        num_blocks = one.x_b.shape[1] // num_samples
        blocks = one.x_b[:, : num_blocks * num_samples].split(num_samples, 1)
        by_block += [_values(block, truths) for block in blocks]
    mean = {name: torch.stack([values[name] for values in by_block]).mean(0) for name in by_block[0]}
    return Scores(REFERENCE, 0, mean, exact.why_not, "n/a (independent samples)")


def _score_run(x: Tensor, header: Json, truths: Sequence[Truth], num_samples: int, path: Path) -> Scores:
    if header["status"] != "ok":
        return Scores(header["method"], header["seed"], {}, (f"{header['status']} ({header['reason']})",) * len(x), "")
    if x.shape[1] != num_samples:
        raise ArtefactError(
            f"{path}: holds {x.shape[1]} samples per measurement, expected {num_samples}; "
            "delete it and run the same command again"
        )
    num_broken = (~x.flatten(2).isfinite().all(2)).sum(1).tolist()
    why_not = tuple(f"failed ({n} of {num_samples} samples not finite)" if n else "" for n in num_broken)
    why_no_chain = _why_no_chain(header, num_samples)
    num_chains = 0 if why_no_chain else header["num_chains"]
    values = _values(x.nan_to_num(0, 0, 0), truths, num_chains)
    return Scores(header["method"], header["seed"], values, why_not, why_no_chain)


def _why_no_chain(header: Json, num_samples: int) -> str:
    if header["joint"] != "chain":
        return f"n/a ({header['joint']} samples)"
    too_short = num_samples // header["num_chains"] < MIN_STATES
    return f"n/a (fewer than {MIN_STATES} states per chain)" if too_short else ""


def _values(x: Tensor, truths: Sequence[Truth], num_chains: int = 0) -> dict[str, Tensor]:
    parts = []
    for truth, chunk in zip(truths, x.split(len(truths[0].x_true)), strict=True):
        samples = chunk.double()
        of_chains = compute_chains(samples, truth, num_chains) if num_chains else {}
        parts.append(compute(samples, truth) | of_chains)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _text(task: str, scores: Sequence[Scores], exact: Exact) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run_scores in scores:
        values = {name: tensor.tolist() for name, tensor in run_scores.values.items()}
        for i, why_not_exact in enumerate(exact.why_not):
            for metric in METRICS:
                cell = _cell(metric, i, values, run_scores, why_not_exact)
                writer.writerow((task, run_scores.method, run_scores.seed, i, metric.id, *cell))
    return out.getvalue()


def _cell(metric: Metric, i: int, values: dict[str, list], scores: Scores, why_not_exact: str) -> tuple[str, str]:
    """Value and reason of one metric of measurement i, one of them empty."""
    reason = scores.why_not[i] or {"": "", "exact": why_not_exact, "chain": scores.why_no_chain}[metric.needs]
    if reason:
        return "", reason
    value = values[metric.id][i]
    return (f"{value:.9g}", "") if math.isfinite(value) else ("", WHY_NOT_FINITE[metric.needs])


if __name__ == "__main__":
    run(main)
