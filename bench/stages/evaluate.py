"""Metrics of every method on one task: `python -m bench.stages.evaluate specs/evaluate/<task>.json` writes metrics.csv.

A value or a reason for each method, seed, measurement and metric, in that order, then for each metric of all
measurements together: of their samples as one set, and shares of measurements. The pseudo method `reference` is each set
of exact draws against the other, in blocks as large as the methods' sample sets, averaged over the blocks. Where the
prior is a map distilled from one with an exact posterior, `_total` metrics are taken against that one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import ArtefactError, Json, read_header, read_json, read_tensors, write_csv
from bench.core.provenance import provenance
from bench.core.results import REFERENCE
from bench.core.types import Cap
from bench.metrics.calibration import share_interval
from bench.metrics.checks import FEWEST_FOR_CLUSTERS, NEIGHBOURS, POOLED, SPLIT, STEIN
from bench.metrics.compute import Truth, compute, compute_chains, compute_pooled, compute_total
from bench.metrics.definitions import METRICS
from bench.metrics.metric import Metric
from bench.metrics.opened import Asked, Networks, open_networks
from bench.metrics.perceptual import SMALLEST_DISTANCE, compute_perceptual, mean_pairwise
from bench.metrics.rewards import compute_rewards
from bench.metrics.sets import compute_sets
from bench.metrics.sheet import Scores, Sheet, csv_of
from bench.metrics.spread import over, why_no_split
from bench.metrics.stein import compute_stein, gradient
from bench.numerics.diagnostics import MIN_STATES
from bench.priors import load_prior, prior_path
from bench.problems.classifier import classifier_path, load_classifier
from bench.problems.measurements import Observations, problem_of, read_observations
from bench.problems.references import Exact, read_exact, read_same_measurements
from bench.runtime.job import run
from bench.stats.results import num_measured

Gradient = Callable[[Tensor, Tensor], Tensor]
FLOATS_PER_CHUNK = 2**21  # of the largest temporary; 16 MiB in float64
MOST_BLOCKS = 4  # of each set of exact draws: the floor is a mean over twice as many
NO_REWARD = "n/a (measurement operator, no reward)"
NO_OPERATOR = "n/a (reward, no measurement operator)"
NO_TEACHER = "n/a (prior is not a distilled map of an exact one)"
NO_DENSITY = "n/a (prior has no density)"
DENSITY_OF_TEACHER = "n/a (the density is that of the map's teacher)"
NO_GRADIENT = "n/a (problem is not differentiable)"
FEW_SAMPLES = f"n/a (fewer than {FEWEST_FOR_CLUSTERS} samples)"


@dataclass(frozen=True)
class Judges:
    """What samples are judged by: truths in chunks of measurements, of the teacher where there is one, and networks.

    pairwise: mean perceptual distance (M,) between exact draws, by the id of the distance.
    score: gradient of log p(x | y) at x (n, *x), y (n, *y), or `why_no_score`.
    """

    of_exact: tuple[Truth, ...]
    of_teacher: tuple[Truth, ...]
    networks: Networks
    pairwise: dict[str, Tensor]
    score: Gradient | None
    why_no_score: str


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    root, num_samples = Path(spec["root"]), spec["num_samples"]
    folder = root / "tasks" / spec["task"]
    observations = read_observations(folder / "observations.safetensors", torch.float64)
    networks = _opened(spec, observations)
    exact = read_exact(folder / "exact.safetensors", observations.header, num_samples)
    score = _posterior_score(spec, observations)
    judges, swapped = (_judges(observations, one, networks, *score) for one in (exact, exact.swapped()))
    scores = [_score_reference(exact, judges, swapped, num_samples)]
    for cell in spec["runs"]:
        path = root / "runs" / spec["task"] / cell["method"] / f"seed{cell['seed']}" / "samples.safetensors"
        tensors, header = read_same_measurements(path, observations.header)
        scores.append(_score_run(tensors["x"], header, judges, num_samples, path))
    sheet = _sheet(spec["task"], exact, judges, num_samples)
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


def _posterior_score(spec: Json, observations: Observations) -> tuple[Gradient | None, str]:
    """The score of the posterior where the prior has a density of its own, else the reason."""
    path = prior_path(spec["root"], spec["prior"], spec["family"])
    if read_header(path).get("teacher"):
        return None, DENSITY_OF_TEACHER
    prior = load_prior(path)
    problem = problem_of(observations.header, prior.shape)
    why_not = NO_DENSITY if Cap.DENSITY not in prior.caps else NO_GRADIENT if Cap.GRAD not in problem.caps else ""
    score = partial(gradient, lambda x, y: prior.log_prob(x) + problem.log_likelihood(x, y))
    return (None, why_not) if why_not else (score, "")


def _judges(
    observations: Observations, exact: Exact, networks: Networks, score: Gradient | None, why_no_score: str
) -> Judges:
    of_teacher = _chunks(observations, exact.teacher) if exact.teacher else ()
    pairwise = {id: mean_pairwise(exact.x_a.double(), embed) for id, embed in networks.embeddings.items()}
    of_exact = tuple(_chunks(observations, exact))
    return Judges(of_exact, tuple(of_teacher), networks, pairwise, score, why_no_score)


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


def _score_reference(exact: Exact, judges: Judges, swapped: Judges, num_samples: int) -> Scores:
    by_block = []
    for one, judged in ((exact, judges), (exact.swapped(), swapped)):
        num_blocks = min(one.x_b.shape[1] // num_samples, MOST_BLOCKS)
        blocks = one.x_b[:, : num_blocks * num_samples].split(num_samples, 1)
        by_block += [_values(block, judged) for block in blocks]
    mean = {name: torch.stack([values[name] for values in by_block]).mean(0) for name in by_block[0]}
    not_admitted = next((why for why in exact.why_not if why), "")
    of_sets = {} if not_admitted else _of_sets(exact.x_b[:, :num_samples], mean, judges)
    of_sets |= {id: value for judge in judges.networks.judges for id, value in judge.floors.items()}
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
    of_sets = {} if why_no_sets else _of_sets(finite, values, judges)
    return Scores(header["method"], header["seed"], values, broken + left_out, why_no_chain, of_sets, why_no_sets)


def _of_sets(x: Tensor, values: dict[str, Tensor], judges: Judges) -> dict[str, float]:
    """Numbers of all measurements: of their images `(M, s, *x)` together, and shares of them with their intervals."""
    found = {id: value for judge in judges.networks.judges for id, value in compute_sets(x, judge).items()}
    for id in (metric.id for metric in POOLED if metric.id in values):
        share = values[id].mean().item()
        low, high = share_interval(share, len(x))
        found |= {id: share, f"{id}_low": low, f"{id}_high": high}
    return found


def _why_no_chain(header: Json, num_samples: int) -> str:
    if header["joint"] != "chain":
        return f"n/a ({header['joint']} samples)"
    too_short = num_samples // header["num_chains"] < MIN_STATES
    return f"n/a (fewer than {MIN_STATES} states per chain)" if too_short else ""


def _values(x: Tensor, judges: Judges, num_chains: int = 0) -> dict[str, Tensor]:
    values = _in_chunks(compute, x, judges.of_exact)
    if judges.of_teacher:
        values |= _in_chunks(compute_total, x, judges.of_teacher)
    if _has_operator(judges):
        values |= _in_chunks(compute_pooled, x, judges.of_exact)
    else:
        values |= _in_chunks(lambda chunk, truth: compute_rewards(chunk, truth.problem, truth.y), x, judges.of_exact)
    if num_chains:
        values |= _in_chunks(partial(compute_chains, num_chains=num_chains), x, judges.of_exact)
    if judges.score:
        values |= _in_chunks(partial(_stein, score=judges.score), x, judges.of_exact)
    for id, embed in judges.networks.embeddings.items():
        values |= _in_chunks(lambda x, truth: compute_perceptual(x, truth.x_true, id, embed), x, judges.of_exact)
        pairwise = over(values[f"{id}_pairwise"], judges.pairwise[id], SMALLEST_DISTANCE)
        values |= {f"{id}_pairwise_ratio": pairwise}
    return values


def _stein(samples: Tensor, truth: Truth, score: Gradient) -> dict[str, Tensor]:
    rows = truth.y.repeat_interleave(samples.shape[1], 0)
    return compute_stein(samples, score(samples.flatten(0, 1), rows).view_as(samples))


def _in_chunks(
    metrics: Callable[[Tensor, Truth], dict[str, Tensor]], x: Tensor, truths: Sequence[Truth]
) -> dict[str, Tensor]:
    chunks = x.split(len(truths[0].x_true))
    parts = [metrics(chunk.double(), truth) for truth, chunk in zip(truths, chunks, strict=True)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _sheet(task: str, exact: Exact, judges: Judges, num_samples: int) -> Sheet:
    has_operator, networks = _has_operator(judges), judges.networks
    unmet = {
        "exact": exact.why_not,
        "teacher": exact.teacher.why_not if exact.teacher else NO_TEACHER,
        "operator": "" if has_operator else NO_OPERATOR,
        "reward": NO_REWARD if has_operator else "",
    }
    why_not = networks.why_not | _why_not(judges, num_samples)
    return Sheet(task, (*METRICS, *networks.metrics), (*POOLED, *networks.sets), networks.floors, why_not, unmet)


def _why_not(judges: Judges, num_samples: int) -> dict[str, str]:
    """By metric, of all methods; "" where there is no reason."""
    truth, has_operator = judges.of_exact[0], _has_operator(judges)
    split = why_no_split(truth.problem.caps, truth.draws.shape[2]) if has_operator else NO_OPERATOR
    clusters = FEW_SAMPLES if num_samples < FEWEST_FOR_CLUSTERS else ""
    return {
        **_for_all(STEIN, judges.why_no_score),
        **(_for_all(SPLIT, split) if split else truth.axes.why_not),
        **_for_all(POOLED, "" if has_operator else NO_OPERATOR),
        **dict.fromkeys((f"ds{NEIGHBOURS}-pixels", f"ds{NEIGHBOURS}-pixels_ratio"), clusters),
    }


def _for_all(metrics: Iterable[Metric], reason: str) -> dict[str, str]:
    return dict.fromkeys((metric.id for metric in metrics), reason)


if __name__ == "__main__":
    run(main)
