"""Evaluate the metrics of a task on samples, in chunks of measurements, with reasons for metrics that are left out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.core import registry
from bench.core.errors import UserError, is_shortage, one_line
from bench.core.metric import Column, Context, Extent, Metric, Truth
from bench.metrics import BUILT_IN
from bench.metrics._guard import (
    column_fault,
    is_trusted,
    kept_process,
    numbers_of,
    own_truth,
    values_of,
)
from bench.metrics._table import Reasons

V = TypeVar("V")
POINT_ESTIMATE = "n/a (point estimate)"


def open_metrics(settings: Mapping[str, Mapping[str, Any]]) -> tuple[Metric, ...]:
    """Return the metrics that every suite has, in their order, then those that `settings` adds.

    settings: parameters by plug-in; those of a metric that every suite has replace its defaults.
    """
    named = {name.replace("-", "_"): parameters for name, parameters in settings.items()}
    names = dict.fromkeys((*BUILT_IN, *named))
    opened = {name: open_metric(name, named.get(name, {})) for name in names}
    owners: dict[str, str] = {}
    for name, metric in opened.items():
        for column in metric.columns(None):
            owner = owners.setdefault(column.id, name)
            if owner != name:
                raise UserError(
                    f"metric {name}: its column {column.id} is one of the metric {owner}, too; give it another name"
                )
    return tuple(opened.values())


def built_in_columns() -> tuple[Column, ...]:
    """Return the columns that every task of every suite has."""
    return tuple(column for metric in open_metrics({}) for column in metric.columns(None))


def open_metric(name: str, parameters: Mapping[str, Any]) -> Metric:
    """Return a metric with its parameters; raise UserError, one line, if it does not exist or a parameter is wrong."""
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()
    }
    try:
        metric = registry.load("metric", name)(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"metric {name}: {error}") from None
    if not isinstance(metric, Metric):
        raise UserError(
            f"metric {name}: its class is not a bench.core.metric.Metric; derive it from that class"
        )
    try:
        fault = column_fault(metric, metric.columns(None))
    except Exception as error:
        fault = f"columns() fails: {one_line(error)}"
    if fault:
        raise UserError(f"metric {name}: {fault}")
    return metric


def prepare(metrics: Sequence[Metric], context: Context) -> None:
    """Prepare metrics; UserError, one line, where one cannot be."""
    for metric in metrics:
        try:
            with kept_process(metric):
                metric.prepare(context)
        except UserError:
            raise
        except Exception as error:
            if is_shortage(error):
                raise
            name = type(metric).__name__
            raise UserError(f"metric {name}: prepare() fails: {one_line(error)}") from error


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of a task. truths: one for each chunk of measurements. unmet: reasons by need.

    raised: errors of metrics on the present samples, by column id: a metric that fails empties only its own columns.
    """

    metrics: tuple[Metric, ...]
    context: Context
    truths: Sequence[Truth]
    unmet: Reasons
    raised: dict[str, str] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns of all metrics."""
        return tuple(column for metric in self.metrics for column in metric.columns(self.context))

    @cached_property
    def why_empty(self) -> dict[str, str]:
        """Return reasons by column id, for all methods."""
        return {
            id: why
            for metric in self.metrics
            for id, why in self._reasons(metric, partial(metric.why_empty, self.truths[0])).items()
        }

    @property
    def of_points(self) -> Evaluation:
        """Return the metrics with a column that point estimates have."""
        some = [m for m in self.metrics if any(x.of_point for x in m.columns(self.context))]
        return dataclasses.replace(self, metrics=tuple(some))

    @property
    def why_empty_of_points(self) -> dict[str, str]:
        """Return reasons by column id, for methods that return a point estimate."""
        return {column.id: POINT_ESTIMATE for column in self.columns if not column.of_point}

    def values(self, x: Tensor, num_chains: int = 0) -> dict[str, Tensor]:
        """Return values (M,) by id for samples (M, s, *x); num_chains: 0 if they are not chains."""
        parts: list[dict[str, Tensor]] = []
        self.raised.clear()
        metrics = self._computed(num_chains)
        for chunk, known in zip(x.split(len(self.truths[0].x_true)), self.truths, strict=True):
            samples, truth = chunk.double(), dataclasses.replace(known, num_chains=num_chains)
            of_metrics = [self._values_of(metric, samples, truth) for metric in metrics]
            parts.append({id: value for part in of_metrics for id, value in part.items()})
        return {id: torch.cat([part[id] for part in parts]) for id in _in_all(parts)}

    def averages(self, parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the averages (M,) by id over sets of samples, as each column has them averaged."""
        harmonic = {column.id for column in self.columns if column.average == "harmonic"}
        stacked = {id: torch.stack([part[id] for part in parts]) for id in _in_all(parts)}
        return {
            id: x.reciprocal().mean(0).reciprocal() if id in harmonic else x.mean(0)
            for id, x in stacked.items()
        }

    def why_empty_of_run(self, values: Mapping[str, Tensor], num_chains: int) -> dict[str, str]:
        """Return reasons by column id for all measurements of a run; values: (n,) by id, of those with samples."""
        if not num_chains or not all(len(value) for value in values.values()):
            return {}
        return {
            id: why
            for metric in self._computed(num_chains)
            for id, why in self._reasons(
                metric, partial(metric.why_empty_of_run, values, num_chains, self.context)
            ).items()
        }

    def of_task(
        self, x: Tensor, values: Mapping[str, Tensor], num_chains: int = 0
    ) -> dict[str, float]:
        """Return the numbers of the whole task by id, from samples (M, s, *x) and their `values`."""
        numbers: dict[str, float] = {}
        for metric in self._computed(num_chains):
            columns = self._columns_of(metric, "task")
            if columns:
                own = {column.id: values[column.id] for column in columns if column.id in values}
                given = x
                if not is_trusted(metric):
                    own, given = {id: value.clone() for id, value in own.items()}, x.clone()
                summarise = partial(metric.summarise, given, own, self.context)
                numbers |= self._numbers(metric, "summarise", summarise, columns)
        return numbers

    def of_real_images(self) -> dict[str, float]:
        """Return the values of real images, by id."""
        numbers: dict[str, float] = {}
        for metric in self.metrics:
            columns = self._columns_of(metric, "real images")
            work = partial(metric.real_images, self.context)
            numbers |= self._numbers(metric, "real_images", work, columns) if columns else {}
        return numbers

    def _columns_of(self, metric: Metric, extent: Extent) -> list[Column]:
        return [column for column in metric.columns(self.context) if column.extent == extent]

    def _numbers(
        self, metric: Metric, what: str, work: Callable[[], object], columns: Sequence[Column]
    ) -> dict[str, float]:
        """Return the numbers of the whole task that `work`, the function `what` of a metric, returns."""
        nothing = dict.fromkeys((column.id for column in columns), math.nan)
        return self._guarded(metric, lambda: numbers_of(what, work(), columns), nothing)

    def _reasons(self, metric: Metric, work: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Return reasons by column id; where `work` raises an error, that is the reason of all columns."""
        ids = [column.id for column in metric.columns(self.context)]
        reasons = self._guarded(metric, lambda: dict(work()), dict.fromkeys(ids, ""))
        return {id: self.raised.get(id, "") if why == "" else why for id, why in reasons.items()}

    def _values_of(self, metric: Metric, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        """Return values (m,) by id, NaN where the metric raises an error."""
        ids = [column.id for column in self._columns_of(metric, "measurement")]
        nothing = samples.new_full((len(samples),), torch.nan)
        if not is_trusted(metric):
            samples, truth = samples.clone(), own_truth(truth)
        columns = metric.columns(self.context)
        return self._guarded(
            metric,
            lambda: values_of(metric.compute(samples, truth), columns, len(samples)),
            dict.fromkeys(ids, nothing),
        )

    def _guarded(
        self, metric: Metric, work: Callable[[], dict[str, V]], nothing: dict[str, V]
    ) -> dict[str, V]:
        """Return the result of `work`, or `nothing` if it raises an error, which the metric's cells then report."""
        try:
            with kept_process(metric):
                return work()
        except Exception as error:
            if is_shortage(error):
                raise
            reason = f"failed ({type(metric).__name__}: {one_line(error)})"
            self.raised.update(dict.fromkeys(nothing, reason))
            return nothing

    def _computed(self, num_chains: int) -> list[Metric]:
        """Return the metrics that have a column without a reason for all measurements."""
        unmet = {**self.unmet, "": "", "chain": "" if num_chains else "n/a (no chain)"}

        def empty(column: Column) -> bool:
            return (
                isinstance(unmet[column.needs], str)
                and bool(unmet[column.needs])
                or column.id in self.why_empty
            )

        return [
            m for m in self.metrics if not all(empty(column) for column in m.columns(self.context))
        ]


def _in_all(parts: Sequence[Mapping[str, Tensor]]) -> list[str]:
    """Return the ids that all parts have, since a metric that raises an error for one of them has none for the task."""
    return [id for id in parts[0] if all(id in part for part in parts)]
