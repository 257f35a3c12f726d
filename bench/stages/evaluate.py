"""Metrics of every method on one task: `python -m bench.stages.evaluate specs/evaluate/<task>.json` writes metrics.csv.

metrics.csv has a value or a reason for each method, seed, measurement and column, in that order, then for each column
of the whole task, which is computed from all of its samples as one set or is a share of its measurements. The pseudo
method `reference` compares each set of reference draws with the other, in blocks as large as the methods' sample sets,
averaged over the blocks. Where the prior is a map distilled from a teacher with an exact posterior, `_total` columns
compare with the teacher's posterior.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast, get_args

import torch
from torch import Tensor

from bench.core.artefacts import ArtefactError, Json, read_header, read_tensors, write_csv
from bench.core.catalogue import is_convnet
from bench.core.layout import Layout
from bench.core.metric import REFERENCE, Context, Gradient, Likelihood, Metric, Need, Truth
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.specs import EvaluateSpec, Run
from bench.core.types import Cap
from bench.metrics._diagnosis import COLUMNS as DIAGNOSES
from bench.metrics._diagnosis import diagnosis_of, filled
from bench.metrics._evaluation import (
    POINT_ESTIMATE,
    Evaluation,
    built_in_columns,
    open_metrics,
    prepare,
)
from bench.metrics._table import Reasons, Scores, Table
from bench.numerics.gradients import gradient
from bench.problems.classifier import Classifier, load_classifier
from bench.problems.convnet import ConvNet, load_convnet
from bench.problems.measurements import (
    Measurements,
    problem_of,
    read_measurements,
    read_size,
)
from bench.problems.posteriors import HasLogZ
from bench.problems.references import ReferenceDraws, read_reference, read_same_measurements
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.runtime.progress import progress
from bench.stages._kept_scores import KeptScores
from bench.task import Task, open_task

REFERENCE_RUN = f"{REFERENCE},0"  # name of the reference in `KeptScores`
FLOATS_PER_CHUNK = 2**21  # in the largest temporary; 16 MiB in float64
MOST_BLOCKS = 4  # of each set of reference draws, so that the floor is a mean over at most 8 blocks
LARGE, MOST_BLOCKS_OF_LARGE = 1024, 2  # for images of more than LARGE values, a mean over at most 4
NO_REWARD = "n/a (measurement operator, no reward)"
NO_OPERATOR = "n/a (reward, no measurement operator)"
NO_TEACHER = "n/a (prior is not a distilled map of an exact one)"
NO_DENSITY = "n/a (prior has no density)"
DENSITY_OF_TEACHER = "n/a (the density is that of the map's teacher)"
NO_GRADIENT = "n/a (problem is not differentiable)"


def main(spec_path: str) -> None:
    """Write metrics.csv of the task that a spec names."""
    spec = EvaluateSpec.read(spec_path)
    files = spec.layout.task(spec.task)
    measurements = read_measurements(files.measurements, torch.float64)
    context = context_of(spec.layout, measurements, spec.num_samples)
    metrics = open_metrics(spec.metrics)
    prepare(metrics, context)
    reference = read_reference(files.reference, measurements.header, spec.num_samples)
    evaluation = evaluation_of(spec, metrics, context, measurements, reference)
    runs = [read_run(spec, one, measurements.header) for one in spec.runs]
    columns = evaluation.columns + (DIAGNOSES if any(one.said for one in runs) else ())
    table = Table(spec.task, columns, evaluation.unmet, evaluation.why_empty)
    kept = kept_scores(spec, table, measurements.header, runs)
    first = kept.lines_of(REFERENCE_RUN)
    if not first:
        swapped = evaluation_of(spec, metrics, context, measurements, reference.swapped())
        scores = score_reference(reference, evaluation, swapped)
        exact = exact_diagnosis(spec) if any(one.said for one in runs) else {}
        first = table.lines(with_diagnosis(scores, exact, runs), is_first=True)
        del swapped
    del reference  # as large as the samples of many runs
    parts = [table.head, first]
    for one in progress(runs, len(runs), f"evaluate {spec.task}"):
        known = kept.lines_of(one.name)
        parts.append(known or lines_of_run(one, runs, table, evaluation, measurements.header))
    write(spec, table, text := "".join(parts), measurements.header)
    kept.write(text)


@dataclass(frozen=True)
class RunFile:
    """The samples of a run on disk: their path and header, and the method's diagnosis of its own sampler."""

    path: Path
    header: Json
    said: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """Return the name of the run in `KeptScores`."""
        return f"{self.header['method']},{self.header['seed']}"


def read_run(spec: EvaluateSpec, one: Run, measurements: Json) -> RunFile:
    """Return what a run's file says beside samples; ArtefactError where it was made from other measurements."""
    path = spec.layout.run(spec.task, one.method, one.seed).samples
    tensors, header = read_same_measurements(path, measurements)
    return RunFile(path, header, diagnosis_of(tensors))


def kept_scores(
    spec: EvaluateSpec, table: Table, measurements: Json, runs: Sequence[RunFile]
) -> KeptScores:
    """Return the scores of an earlier evaluation, of the runs whose samples are still the same."""
    columns = [dataclasses.astuple(column) for column in table.columns]
    facts = [columns, table.unmet, dict(table.why_empty), measurements["sha256"]]
    samples = {REFERENCE_RUN: ""} | {one.name: one.header["sha256"] for one in runs}
    return KeptScores.read(spec, [*facts, torch.get_num_threads()], samples)


def lines_of_run(
    one: RunFile,
    runs: Sequence[RunFile],
    table: Table,
    evaluation: Evaluation,
    measurements: Json,
) -> str:
    """Return the lines of a run: its metrics with its own diagnosis."""
    tensors, header = read_same_measurements(one.path, measurements)
    scores = score_run(tensors["x"], header, evaluation, one.path)
    return table.lines(with_diagnosis(scores, one.said, runs))


def with_diagnosis(scores: Scores, said: Mapping[str, Tensor], runs: Sequence[RunFile]) -> Scores:
    """Return scores with a diagnosis, NaN where there is none; without, if no run of the task has one."""
    num_measurements = len(scores.why_not)
    own = filled([said, *(one.said for one in runs)], num_measurements)[0]
    return dataclasses.replace(scores, values=scores.values | own)


def write(spec: EvaluateSpec, table: Table, text: str, measurements: Json) -> None:
    """Write metrics.csv with this text. measurements: the header of their file."""
    info = {
        "observations_sha256": measurements["observations_sha256"],
        "definitions": table.definitions,
        "better": table.better,
        "harmonic": table.harmonic,
        "provenance": provenance(threads=torch.get_num_threads()),
    }
    write_csv(spec.layout.task(spec.task).metrics, text, info)


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write the reason why there are no numbers into each cell; a run that failed before keeps its own reason."""
    spec = EvaluateSpec.read(spec_path)
    files = spec.layout.task(spec.task)
    num, _, measured = read_size(files.measurements)
    scores = [empty_scores(REFERENCE, 0, num, f"failed ({ending.reason})")]
    for one in spec.runs:
        header = read_header(spec.layout.run(spec.task, one.method, one.seed).samples)
        status, reason = header["status"], header["reason"]
        said = f"{status} ({reason})" if status != "ok" else f"failed ({ending.reason})"
        scores.append(empty_scores(one.method, one.seed, num, said))
    unmet = dict.fromkeys(get_args(Need), f"failed ({ending.reason})")
    table = Table(spec.task, built_in_columns(), unmet)
    write(spec, table, table.csv(scores), measured)
    note_failure(files.metrics, ending.reason, not ending.is_inherited)


def empty_scores(method: str, seed: int, num_measurements: int, reason: str) -> Scores:
    """Return the cells of a run without any number."""
    return Scores(method, seed, {}, (reason,) * num_measurements, reason, {}, reason)


def evaluation_of(
    spec: EvaluateSpec,
    metrics: tuple[Metric, ...],
    context: Context,
    measurements: Measurements,
    reference: ReferenceDraws,
) -> Evaluation:
    """Return the metrics against the first set of reference draws."""
    score, why_no_score = posterior_score(spec)
    problem = problem_of(measurements.header, context.x_shape)
    unmet = unmet_needs(reference, Cap.RESIDUAL in problem.caps, why_no_score)
    return Evaluation(metrics, context, truths_of(measurements, reference, context, score), unmet)


def context_of(layout: Layout, measurements: Measurements, num_samples: int) -> Context:
    """Return the facts of the task that metrics get before any sample is read."""
    dataset = measurements.header.get("dataset", "")
    return Context(
        dataset=dataset,
        x_shape=tuple(measurements.x_true.shape[1:]),
        num_measurements=len(measurements.x_true),
        num_samples=num_samples,
        load_classifier=partial(open_network, layout),
        load_images=lambda: read_tensors(layout.data(dataset))[0],
    )


def open_network(layout: Layout, name: str) -> Classifier | ConvNet:
    """Return a network that the workflow trained."""
    path = layout.classifier(name)
    return load_convnet(path) if is_convnet(name) else load_classifier(path)[0]


def posterior_score(spec: EvaluateSpec) -> tuple[Gradient | None, str]:
    """Return the score of the posterior where the prior has a density of its own, else None and the reason."""
    if read_header(spec.layout.prior(spec.prior, spec.family)).get("teacher"):
        return None, DENSITY_OF_TEACHER
    return score_of_task(open_task(spec, with_posterior=False))


def score_of_task(task: Task) -> tuple[Gradient | None, str]:
    """Return the score of a task's posterior, else None and the reason; not for a prior that has a teacher."""
    prior, problem = task.prior, task.problem
    if Cap.DENSITY not in prior.caps:
        return None, NO_DENSITY
    if Cap.GRAD not in problem.caps:
        return None, NO_GRADIENT
    return partial(gradient, lambda x, y: prior.log_prob(x) + problem.log_likelihood(x, y)), ""


def unmet_needs(reference: ReferenceDraws, has_operator: bool, score_reason: str) -> Reasons:
    """Return, for each need, why columns with it have no number on the task; "" where the need is met."""
    return {
        "reference": reference.why_not,
        "teacher": reference.teacher.why_not if reference.teacher else NO_TEACHER,
        "operator": "" if has_operator else NO_OPERATOR,
        "reward": NO_REWARD if has_operator else "",
        "score": score_reason,
    }


def truths_of(
    measurements: Measurements, reference: ReferenceDraws, context: Context, score: Gradient | None
) -> tuple[Truth, ...]:
    """Return what is known of the measurements, in chunks whose largest temporaries fit FLOATS_PER_CHUNK."""
    num_draws, dimension = reference.x_a.shape[1], math.prod(context.x_shape)
    size = max(1, FLOATS_PER_CHUNK // (num_draws * (num_draws + dimension)))
    problem = cast(Likelihood, problem_of(measurements.header, context.x_shape))

    def chunk(draws: ReferenceDraws, start: int, teacher: Truth | None = None) -> Truth:
        whole = (measurements.x_true, measurements.y, draws.x_a, draws.mean, draws.std)
        parts = (tensor[start : start + size].double() for tensor in whole)
        has_formula = not draws.moments_are_of_x_a
        return Truth(
            problem, *parts, context=context, teacher=teacher, score=score, has_formula=has_formula
        )

    starts = range(0, len(measurements.x_true), size)
    teachers = [chunk(reference.teacher, start) if reference.teacher else None for start in starts]
    return tuple(
        chunk(reference, start, teacher) for start, teacher in zip(starts, teachers, strict=True)
    )


def score_reference(
    reference: ReferenceDraws, evaluation: Evaluation, swapped: Evaluation
) -> Scores:
    """Return the metrics of each set of reference draws against the other, means over blocks of num_samples draws."""
    num_samples, by_block, raised = evaluation.context.num_samples, [], dict[str, str]()
    is_large = reference.x_b[0, 0].numel() > LARGE
    most = MOST_BLOCKS_OF_LARGE if is_large else MOST_BLOCKS
    for draws, one in ((reference, evaluation), (reference.swapped(), swapped)):
        num_blocks = min(draws.x_b.shape[1] // num_samples, most)
        blocks = draws.x_b[:, : num_blocks * num_samples].split(num_samples, 1)
        for block in blocks:
            by_block.append(one.values(block))
            raised |= one.raised
    mean = evaluation.averages(by_block)
    not_admitted = next((why for why in reference.why_not if why), "")
    of_task = {} if not_admitted else evaluation.of_task(reference.x_b[:, :num_samples], mean)
    of_task |= evaluation.of_real_images()
    raised |= evaluation.raised
    about = (reference.why_not, "n/a (independent samples)", of_task, not_admitted, raised)
    return Scores(REFERENCE, 0, mean, *about)


def score_run(x: Tensor, header: Json, evaluation: Evaluation, path: Path) -> Scores:
    """Return the metrics of a run with samples (M, s, *x), or the reasons why it has none."""
    num, num_samples = header.get("num_measurements", len(x)), evaluation.context.num_samples
    left_out = (f"n/a (only the first {num} measurements)",) * (len(x) - num)
    name, seed = header["method"], header["seed"]
    if header["status"] != "ok":
        stopped = f"{header['status']} ({header['reason']})"
        return Scores(name, seed, {}, (stopped,) * num + left_out, "", {}, stopped)
    if x.shape[1] != num_samples:
        raise ArtefactError(
            f"{path}: holds {x.shape[1]} samples per measurement, expected {num_samples}; "
            "delete it and run the same command again"
        )
    broken, all_broken = why_broken(x[:num])
    task_reason = all_broken or (left_out[0] if left_out else "")
    chain_reason = why_not_a_chain(header, num_samples)
    num_chains = 0 if chain_reason else header["num_chains"]
    is_point, finite = header["joint"] == "point", x.nan_to_num(0, 0, 0)
    own = evaluation.of_points if is_point else evaluation
    values = own.values(finite, num_chains)
    of_task = {} if task_reason else own.of_task(finite, values, num_chains)
    is_known = torch.tensor([not why for why in broken + left_out])
    kept = {id: value[is_known] for id, value in values.items()}
    empty = own.why_empty_of_run(kept, num_chains) | own.raised
    empty |= evaluation.why_empty_of_points if is_point else {}
    return Scores(name, seed, values, broken + left_out, chain_reason, of_task, task_reason, empty)


def exact_diagnosis(spec: EvaluateSpec) -> dict[str, Tensor]:
    """Return the exact log Z of each measurement, where there is a formula for it."""
    task = open_task(spec)
    log_z = task.posterior.log_z(task.y) if isinstance(task.posterior, HasLogZ) else None
    return {} if log_z is None else {"log_z": log_z}


def why_broken(x: Tensor) -> tuple[tuple[str, ...], str]:
    """Return why each measurement of samples (m, s, *x) counts as failed, and why the task does; "" for finite ones."""
    num_broken = (~x.flatten(2).isfinite().all(2)).sum(1).tolist()
    broken = tuple(
        f"failed ({n} of {x.shape[1]} samples not finite)" if n else "" for n in num_broken
    )
    total = f"failed ({sum(num_broken)} of {x.shape[0] * x.shape[1]} samples not finite)"
    return broken, total if any(num_broken) else ""


def why_not_a_chain(header: Json, num_samples: int) -> str:
    """Return why a run's samples have no diagnostics of chains; "" where they have."""
    if header["joint"] == "point":
        return POINT_ESTIMATE
    if header["joint"] != "chain":
        return f"n/a ({header['joint']} samples)"
    return "" if num_samples >= header["num_chains"] else "n/a (fewer samples than chains)"


if __name__ == "__main__":
    run(main, failed=write_failed)
