"""Helpers of the tests of metrics: the columns that every suite has, and all their values on some measurements."""

from __future__ import annotations

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.core.types import Cap
from bench.metrics._evaluation import Evaluation, built_in_columns, open_metrics

COLUMNS: tuple[Column, ...] = tuple(c for c in built_in_columns() if c.extent == "measurement")
COLUMNS_OF_TASK: tuple[Column, ...] = tuple(c for c in built_in_columns() if c.extent == "task")


def nothing(*_: object) -> dict:
    """Stand for the loading of classifiers and images, which these tests do not need."""
    return {}


def context_of(x_true: Tensor, num_samples: int, dataset: str = "") -> Context:
    """Return the context of measurements of images (m, *x)."""
    return Context(dataset, tuple(x_true.shape[1:]), len(x_true), num_samples, nothing, nothing)


def truth_of(
    problem,
    x_true: Tensor,
    y: Tensor,
    reference: Tensor,
    mean: Tensor,
    std: Tensor,
    num_samples: int,
) -> Truth:
    """Return what is known of measurements, with a context for so many samples of each."""
    return Truth(problem, x_true, y, reference, mean, std, context_of(x_true, num_samples))


def evaluation_of(truth: Truth, metrics: tuple[Metric, ...] | None = None) -> Evaluation:
    """Return the evaluation of metrics, by default those of every suite, whose needs a truth meets."""
    has_operator = Cap.RESIDUAL in truth.problem.caps
    unmet = {
        "reference": "",
        "operator": "" if has_operator else "n/a (no operator)",
        "reward": "n/a (no reward)" if has_operator else "",
        "teacher": "" if truth.teacher else "n/a (no teacher)",
        "score": "" if truth.score else "n/a (no score)",
    }
    return Evaluation(
        open_metrics({}) if metrics is None else metrics, truth.context, [truth], unmet
    )


def compute(samples: Tensor, truth: Truth, num_chains: int = 0) -> dict[str, Tensor]:
    """Return all values (m,) by column id that `truth` allows, for samples (m, s, *x)."""
    return evaluation_of(truth).values(samples, num_chains)
