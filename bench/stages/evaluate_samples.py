"""Evaluate samples in memory, and put them beside the published rows of a suite."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pandas as pd
from torch import Tensor

from bench.core.errors import UserError
from bench.core.layout import REFERENCE as PUBLISHED
from bench.core.shipped import shipped
from bench.core.types import Cap
from bench.metrics._evaluation import Evaluation, open_metrics
from bench.metrics._table import Scores, Table
from bench.stages.evaluate import DENSITY_OF_TEACHER, context_of, score_of_task, truths_of, unmet_needs
from bench.stages.make_task import open_or_make_task
from bench.stats.inference import mean_interval
from bench.stats.summary import LEVEL
from bench.task import Task

COLUMNS = ["task", "method", "metric", "mean", "low", "high", "num_failed", "reason"]


def evaluate_samples(task: Task, x: Tensor, metrics: Mapping[str, dict] | None = None) -> pd.DataFrame:
    """Return metric, measurement, value and reason of samples (m, s, *x)."""
    num, num_samples = x.shape[:2]
    if num > len(task.y) or tuple(x.shape[2:]) != tuple(task.x_true.shape[1:]):
        expected = f"({len(task.y)}, s, {', '.join(map(str, task.x_true.shape[1:]))})"
        raise UserError(f"samples of {task.name}: got shape {tuple(x.shape)}, expected {expected}")
    evaluation = evaluation_of(task.first(num), num_samples, metrics or {})
    x = x.detach().cpu().float()
    broken = (~x.flatten(2).isfinite().all(2)).sum(1).tolist()
    why_not = tuple(f"failed ({n} of {num_samples} samples not finite)" if n else "" for n in broken)
    finite = x.nan_to_num(0, 0, 0)
    values = evaluation.values(finite, 0)
    of_task = evaluation.of_real_images() | ({} if any(broken) else evaluation.of_task(finite, values, 0))
    failed = f"failed ({sum(broken)} of {num * num_samples} samples not finite)" if any(broken) else ""
    scores = Scores("mine", 0, values, why_not, "n/a (independent samples)", of_task, failed)
    table = Table(task.name, evaluation.columns, evaluation.unmet, evaluation.why_empty)
    frame = pd.read_csv(io.StringIO(table.csv([scores])), keep_default_na=False, na_values={"value": [""]})
    frame = frame.rename(columns={"observation": "measurement"})
    return frame[["metric", "measurement", "value", "reason"]]


def evaluation_of(task: Task, num_samples: int, metrics: Mapping[str, dict]) -> Evaluation:
    """Return the metrics of a task, ready for samples."""
    if task.reference is None:
        raise UserError(f"task {task.name} was opened without reference draws; open it with bench.load_task")
    context = context_of(task.layout, task.measured, num_samples)
    opened = open_metrics(metrics)
    for metric in opened:
        metric.prepare(context)
    reference = task.reference.first(len(task.y))
    has_teacher = task.reference.teacher is not None or hasattr(task.prior, "teacher")
    score, score_reason = (None, DENSITY_OF_TEACHER) if has_teacher else score_of_task(task)
    unmet = unmet_needs(reference, Cap.RESIDUAL in task.problem.caps, score_reason)
    return Evaluation(opened, context, truths_of(task.measured, reference, context, score), unmet)


def published_and_mine(suite: str, mine: Mapping[str, Tensor], task: str | Task | None) -> pd.DataFrame:
    """Return the rows of the published summary.csv of a suite, then those of samples by name."""
    published = pd.read_csv(shipped(str(PUBLISHED / suite / "summary.csv")), keep_default_na=False, na_values=[""])
    published["reason"] = published["reason"].fillna("")
    if mine and task is None:
        raise UserError("leaderboard: samples need the task that they are of; give task=")
    if task is None:
        return published[COLUMNS]
    name = task if isinstance(task, str) else task.name
    rows = [published[published["task"] == name]]
    opened = task if isinstance(task, Task) else open_or_make_task(name, suite, None) if mine else None
    rows += [row_of(opened, method, x) for method, x in mine.items() if opened is not None]
    return pd.concat(rows, ignore_index=True)[COLUMNS]


def row_of(task: Task, method: str, x: Tensor) -> pd.DataFrame:
    """Return the means of samples over the task's measurements with their intervals, a line per metric."""
    if len(x) != len(task.y):
        raise UserError(
            f"samples of {method} are of {len(x)} measurements; published rows are of all {len(task.y)} of {task.name}"
        )
    frame = evaluate_samples(task, x)
    lines = []
    for metric, cells in frame.groupby("metric", sort=False):
        values, reasons = cells["value"].to_numpy(), [reason for reason in cells["reason"] if reason]
        failed = sum(reason.startswith("failed") for reason in reasons)
        nothing = {"mean": None, "low": None, "high": None}
        numbers = nothing if reasons else dict(zip(nothing, interval_of(values), strict=True))
        about = {"task": task.name, "method": method, "metric": metric, "num_failed": failed}
        lines.append(about | numbers | {"reason": reasons[0] if reasons else ""})
    return pd.DataFrame(lines)


def interval_of(values) -> tuple[float, float | None, float | None]:
    """Return mean, low and high of values of measurements; a single value has no interval."""
    if len(values) < 2:
        return float(values[0]), None, None
    mean, low, high = mean_interval(values[:, None], LEVEL)
    return float(mean[0]), float(low[0]), float(high[0])
