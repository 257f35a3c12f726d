"""Metrics of every method on one task: `python -m bench.evaluate specs/evaluate/<task>.json` writes metrics.csv.

A value or a reason for each method, seed, measurement and metric, in that order, then for each metric of the samples of
all measurements together. The pseudo method `reference` is each
set of exact draws against the other, in blocks as large as the methods' sample sets, averaged over the blocks. Where
the prior is a map distilled from one with an exact posterior, `_total` metrics are taken against that one.
"""

from __future__ import annotations

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
from bench.metrics.definitions import METRICS
from bench.metrics.opened import Asked, Networks, open_networks
from bench.metrics.perceptual import compute_perceptual
from bench.metrics.rewards import compute_rewards
from bench.metrics.sets import compute_sets
from bench.metrics.sheet import Scores, Sheet, csv_of
from bench.problems.bank import Observations, problem_of, read_observations
from bench.problems.classifier import classifier_path, load_classifier
from bench.problems.exact import Conjugate, Enumeration
from bench.provenance import provenance
from bench.report.results import REFERENCE, num_measured
from bench.types import Cap

FLOATS_PER_CHUNK = 2**21  # of the largest temporary; 16 MiB in float64
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
class Judges:
    """What samples are judged by: truths in chunks of measurements, of the teacher where there is one, and networks."""

    of_exact: tuple[Truth, ...]
    of_teacher: tuple[Truth, ...]
    networks: Networks


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    root, num_samples = Path(spec["root"]), spec["num_samples"]
    folder = root / "tasks" / spec["task"]
    observations = read_observations(folder / "observations.safetensors", torch.float64)
    networks = _opened(spec, observations)
    exact = _read_exact(folder / "exact.safetensors", observations.header, num_samples)
    judges = _judges(observations, exact, networks)
    scores = [_score_reference(observations, exact, networks, num_samples)]
    for cell in spec["runs"]:
        path = root / "runs" / spec["task"] / cell["method"] / f"seed{cell['seed']}" / "samples.safetensors"
        tensors, header = _read_same_measurements(path, observations.header)
        scores.append(_score_run(tensors["x"], header, judges, num_samples, path))
    sheet = _sheet(spec["task"], exact, judges)
    info = {
        "observations_sha256": observations.header["observations_sha256"],
        "definitions": sheet.definitions,
        "better": sheet.better,
        "provenance": provenance(threads=torch.get_num_threads()),
    }
    write_csv(folder / "metrics.csv", csv_of(sheet, scores), info)


def _opened(spec: Json, observations: Observations) -> Networks:
    """Before any work: absent weights stop here."""
    root, metrics = Path(spec["root"]), spec.get("metrics", {})
    num, *_, side = observations.x_true.shape
    dataset = observations.header.get("dataset", "")
    asked = Asked(
        perceptual=tuple(metrics.get("perceptual", ())),
        sets=tuple(metrics.get("sets", ())),
        offline=metrics.get("offline", False),
        dataset=dataset,
        side=side,
        num_samples=num * spec["num_samples"],
    )
    return open_networks(
        asked,
        load=lambda name: load_classifier(classifier_path(root, name))[0],
        load_images=lambda: read_tensors(root / "data" / f"{dataset}.safetensors")[0],
    )


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


def _judges(observations: Observations, exact: Exact, networks: Networks) -> Judges:
    of_teacher = _chunks(observations, exact.teacher) if exact.teacher else ()
    return Judges(tuple(_chunks(observations, exact)), tuple(of_teacher), networks)


def _chunks(observations: Observations, exact: Exact) -> Iterator[Truth]:
    """The measurements in chunks whose largest temporaries stay bounded."""
    num_draws, dimension = exact.x_a.shape[1], math.prod(exact.x_a.shape[2:])
    chunk = max(1, FLOATS_PER_CHUNK // (num_draws * (num_draws + dimension)))
    problem = problem_of(observations.header, tuple(observations.x_true.shape[1:]))
    whole = (observations.x_true, observations.y, exact.x_a, exact.mean, exact.std)
    for parts in zip(*(tensor.split(chunk) for tensor in whole), strict=True):
        yield Truth(problem, *(part.double() for part in parts))


def _has_operator(judges: Judges) -> bool:
    return Cap.RESIDUAL in judges.of_exact[0].problem.caps


def _score_reference(observations: Observations, exact: Exact, networks: Networks, num_samples: int) -> Scores:
    by_block = []
    for one in (exact, exact.swapped()):
        judges = _judges(observations, one, networks)
        num_blocks = one.x_b.shape[1] // num_samples
        blocks = one.x_b[:, : num_blocks * num_samples].split(num_samples, 1)
        by_block += [_values(block, judges) for block in blocks]
    mean = {name: torch.stack([values[name] for values in by_block]).mean(0) for name in by_block[0]}
    not_admitted = next((why for why in exact.why_not if why), "")
    of_sets = {} if not_admitted else _of_sets(exact.x_b[:, :num_samples], networks)
    of_sets |= {id: value for judge in networks.judges for id, value in judge.floors.items()}
    return Scores(REFERENCE, 0, mean, exact.why_not, "n/a (independent samples)", of_sets, not_admitted)


def _score_run(x: Tensor, header: Json, judges: Judges, num_samples: int, path: Path) -> Scores:
    num = num_measured(header, len(x))
    left_out = (f"n/a (only the first {num} measurements)",) * (len(x) - num)
    if header["status"] != "ok":
        stopped = f"{header['status']} ({header['reason']})"
        return Scores(header["method"], header["seed"], {}, (stopped,) * num + left_out, "", {}, stopped)
    if x.shape[1] != num_samples:
        raise ArtefactError(
            f"{path}: holds {x.shape[1]} samples per measurement, expected {num_samples}; "
            "delete it and run the same command again"
        )
    num_broken = (~x[:num].flatten(2).isfinite().all(2)).sum(1).tolist()
    broken = tuple(f"failed ({n} of {num_samples} samples not finite)" if n else "" for n in num_broken)
    why_no_chain = _why_no_chain(header, num_samples)
    num_chains = 0 if why_no_chain else header["num_chains"]
    finite = x.nan_to_num(0, 0, 0)
    values = _values(finite, judges, num_chains)
    all_broken = f"failed ({sum(num_broken)} of {num * num_samples} samples not finite)" if any(num_broken) else ""
    why_no_sets = all_broken or (left_out[0] if left_out else "")
    of_sets = {} if why_no_sets else _of_sets(finite, judges.networks)
    return Scores(header["method"], header["seed"], values, broken + left_out, why_no_chain, of_sets, why_no_sets)


def _of_sets(x: Tensor, networks: Networks) -> dict[str, float]:
    return {id: value for judge in networks.judges for id, value in compute_sets(x, judge).items()}


def _why_no_chain(header: Json, num_samples: int) -> str:
    if header["joint"] != "chain":
        return f"n/a ({header['joint']} samples)"
    too_short = num_samples // header["num_chains"] < MIN_STATES
    return f"n/a (fewer than {MIN_STATES} states per chain)" if too_short else ""


def _values(x: Tensor, judges: Judges, num_chains: int = 0) -> dict[str, Tensor]:
    values = _in_chunks(compute, x, judges.of_exact)
    if judges.of_teacher:
        values |= _in_chunks(compute_total, x, judges.of_teacher)
    if not _has_operator(judges):
        values |= _in_chunks(lambda chunk, truth: compute_rewards(chunk, truth.problem, truth.y), x, judges.of_exact)
    if num_chains:
        values |= _in_chunks(partial(compute_chains, num_chains=num_chains), x, judges.of_exact)
    for id, embed in judges.networks.embeddings.items():
        values |= _in_chunks(lambda x, truth: compute_perceptual(x, truth.x_true, id, embed), x, judges.of_exact)
    return values


def _in_chunks(
    metrics: Callable[[Tensor, Truth], dict[str, Tensor]], x: Tensor, truths: Sequence[Truth]
) -> dict[str, Tensor]:
    chunks = x.split(len(truths[0].x_true))
    parts = [metrics(chunk.double(), truth) for truth, chunk in zip(truths, chunks, strict=True)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _sheet(task: str, exact: Exact, judges: Judges) -> Sheet:
    has_operator, networks = _has_operator(judges), judges.networks
    unmet = {
        "exact": exact.why_not,
        "teacher": exact.teacher.why_not if exact.teacher else NO_TEACHER,
        "operator": "" if has_operator else NO_OPERATOR,
        "reward": NO_REWARD if has_operator else "",
    }
    return Sheet(task, (*METRICS, *networks.metrics), networks.sets, networks.floors, networks.why_not, unmet)


if __name__ == "__main__":
    run(main)
