"""A suite's results as figures read them, computed at the first use and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.core.kinds import by_kind
from bench.core.results import BASELINES, ROLES, Ranking, Summary
from bench.stats.ranks import rankings
from bench.stats.results import SuiteResults
from bench.stats.summary import summarise
from bench.stats.values import MetricValues, values_of_task


@dataclass(frozen=True)
class FigureResults:
    """A suite's results under the names of `bench.core.results.Results`."""

    suite: SuiteResults

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.suite.tasks)

    @property
    def methods(self) -> tuple[str, ...]:
        return by_kind(self.suite.methods, self.kinds, BASELINES)

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        return self.suite.kinds

    @property
    def well_specified(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.suite.tasks if task.is_well_specified)

    @property
    def num_samples(self) -> int:
        return self.suite.num_samples

    @property
    def timings(self) -> Sequence[Mapping[str, Any]]:
        return self.suite.timings

    @cached_property
    def summary(self) -> Sequence[Summary]:
        return summarise(self.suite)

    @cached_property
    def _lines(self) -> dict[tuple[str, str, str], Summary]:
        return {(x.task, x.method, x.metric): x for x in self.summary}

    def num_measured(self, task: str) -> int:
        return next(self.suite.num_measured(x) for x in self.suite.tasks if x.name == task)

    def line(self, task: str, method: str, metric: str) -> Summary | None:
        return self._lines.get((task, method, metric))

    @cached_property
    def _values(self) -> dict[tuple[str, str, str], MetricValues]:
        of_tasks = {task.name: values_of_task(task, self.suite) for task in self.suite.tasks}
        return {
            (task, *key): values
            for task, of_task in of_tasks.items()
            for key, values in of_task.items()
        }

    def values(self, task: str, method: str, metric: str) -> dict[int, tuple[float, ...]]:
        values = self._values.get((task, method, metric))
        return values.values if values else {}

    def rankings(self, metrics: Sequence[str]) -> list[Ranking]:
        return rankings(self.suite, metrics)

    def is_ranked(self, task: str, method: str) -> bool:
        return all(method not in x.unranked for x in self.suite.tasks if x.name == task)

    def label(self, method: str) -> str:
        return f"{method} ({ROLES[method]})" if method in ROLES else method
