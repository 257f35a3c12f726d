"""Evaluate samples that are in memory, with the metrics of the workflow."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from bench.core.errors import UserError
from bench.core.types import Cap
from bench.metrics._evaluation import Evaluation, open_metrics, prepare
from bench.metrics._table import Scores, Table
from bench.stages.evaluate import (
    DENSITY_OF_TEACHER,
    context_of,
    score_of_task,
    truths_of,
    unmet_needs,
)
from bench.task import Task

ENOUGH = 4  # samples per measurement: with fewer, some columns are empty for that reason alone


def evaluate_samples(
    task: Task, x: object, metrics: Mapping[str, dict] | None = None
) -> pd.DataFrame:
    """Return a table of samples (m, s, *x), with the columns metric, measurement, value and reason."""
    x = samples_of(task, x)
    warn_of_other_range(task, x)
    num, num_samples = x.shape[:2]
    evaluation = evaluation_of(task.first(num), num_samples, metrics or {})
    broken = (~x.flatten(2).isfinite().all(2)).sum(1).tolist()
    why_not = tuple(
        f"failed ({n} of {num_samples} samples not finite)" if n else "" for n in broken
    )
    finite = x.nan_to_num(0, 0, 0)
    with warnings.catch_warnings():  # a column without a number for one sample has a reason below
        warnings.filterwarnings("ignore", r"(var|std)\(\): degrees of freedom")
        values = evaluation.values(finite, 0)
    of_task = evaluation.of_real_images() | (
        {} if any(broken) else evaluation.of_task(finite, values, 0)
    )
    failed = (
        f"failed ({sum(broken)} of {num * num_samples} samples not finite)" if any(broken) else ""
    )
    empty = too_few(task.first(num), finite, values, metrics or {})
    scores = Scores("mine", 0, values, why_not, "n/a (independent samples)", of_task, failed, empty)
    table = Table(task.name, evaluation.columns, evaluation.unmet, evaluation.why_empty)
    frame = pd.read_csv(
        io.StringIO(table.csv([scores])), keep_default_na=False, na_values={"value": [""]}
    )
    frame = frame.rename(columns={"observation": "measurement"})
    return frame[["metric", "measurement", "value", "reason"]]


def too_few(
    task: Task, x: Tensor, values: Mapping[str, Tensor], metrics: Mapping[str, dict]
) -> dict[str, str]:
    """Return reasons for the columns that are empty only because there are too few samples.

    x: (m, s, *x). values: (m,) by column. A column is empty for this reason if it has a number when the same samples
    are repeated up to ENOUGH.
    """
    num_samples = x.shape[1]
    empty = [id for id, value in values.items() if not value.isfinite().any()]
    if num_samples >= ENOUGH or not empty:
        return {}
    copies = x.repeat_interleave(ENOUGH, 1)[:, :ENOUGH]
    more = evaluation_of(task, ENOUGH, metrics).values(copies, 0)
    reason = f"n/a (needs more samples of each measurement than {num_samples})"
    return {id: reason for id in empty if id in more and more[id].isfinite().any()}


def samples_of(task: Task, x: object) -> Tensor:
    """Return samples of a tensor, an array or nested lists as float32 (m, s, *x) on the CPU.

    Raises UserError, one line, for anything else and for another shape than the task's.
    """
    image = tuple(task.x_true.shape[1:])
    expected = f"expected a tensor or an array (m, num_samples, {', '.join(map(str, image))}), m at most {len(task.y)}"
    try:
        x = torch.as_tensor(x).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"samples of {task.name}: got {type(x).__name__}, {expected}") from None
    if not x.is_floating_point():
        raise UserError(
            f"samples of {task.name}: got {x.dtype}, expected floating-point numbers, images in [-1, 1]; "
            "of bytes: x / 127.5 - 1"
        )
    if (
        x.ndim != 2 + len(image)
        or not 0 < len(x) <= len(task.y)
        or not x.shape[1]
        or tuple(x.shape[2:]) != image
    ):
        raise UserError(f"samples of {task.name}: got shape {tuple(x.shape)}, {expected}")
    return x.float()


def warn_of_other_range(task: Task, x: Tensor) -> None:
    """Warn if no value of samples (m, s, *x) is negative, though the task's images are in [-1, 1]."""
    finite = x[x.isfinite()]
    if not len(finite) or finite.min() < 0 or task.x_true.min() > -0.5:
        return
    most = finite.max().item()
    mend = "2 * x - 1" if most <= 1 else "x / 127.5 - 1"
    warnings.warn(
        f"samples of {task.name}: values are from {finite.min().item():.3g} to {most:.3g}, and images here are in "
        f"[-1, 1]; should it be {mend}?",
        stacklevel=4,
    )


def evaluation_of(task: Task, num_samples: int, metrics: Mapping[str, dict]) -> Evaluation:
    """Return the metrics of a task, ready to evaluate samples; raise UserError for a task without reference draws."""
    if task.reference is None:
        raise UserError(
            f"task {task.name} was opened without reference draws; open it with bench.load_task"
        )
    context = context_of(task.layout, task.measured, num_samples)
    opened = open_metrics(metrics)
    prepare(opened, context)
    reference = task.reference.first(len(task.y))
    has_teacher = task.reference.teacher is not None or hasattr(task.prior, "teacher")
    score, score_reason = (None, DENSITY_OF_TEACHER) if has_teacher else score_of_task(task)
    unmet = unmet_needs(reference, Cap.RESIDUAL in task.problem.caps, score_reason)
    return Evaluation(opened, context, truths_of(task.measured, reference, context, score), unmet)
