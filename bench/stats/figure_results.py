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
from bench.stats.spending import within_budget
from bench.stats.summary import summarise, summarised
from bench.stats.values import values_of_task


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
    def metrics(self) -> tuple[str, ...]:
        return summarised(self.suite)

    @cached_property
    def _of_metrics(self) -> dict[str, tuple[Summary, ...]]:
        return {}

    def lines_of(self, metric: str) -> tuple[Summary, ...]:
        if metric not in self._of_metrics:
            self._of_metrics[metric] = tuple(summarise(self.suite, metric))
        return self._of_metrics[metric]

    @cached_property
    def _by_key(self) -> dict[str, dict[tuple[str, str], Summary]]:
        return {}

    def num_measured(self, task: str) -> int:
        return next(self.suite.num_measured(x) for x in self.suite.tasks if x.name == task)

    def line(self, task: str, method: str, metric: str) -> Summary | None:
        if metric not in self._by_key:
            self._by_key[metric] = {(x.task, x.method): x for x in self.lines_of(metric)}
        return self._by_key[metric].get((task, method))

    def values(self, task: str, method: str, metric: str) -> dict[int, tuple[float, ...]]:
        found = next((x for x in self.suite.tasks if x.name == task), None)
        values = values_of_task(found, self.suite).get((method, metric)) if found else None
        return values.values if values else {}

    def rankings(self, metrics: Sequence[str]) -> list[Ranking]:
        return rankings(within_budget(self.suite), metrics)

    def is_ranked(self, task: str, method: str) -> bool:
        return all(method not in x.unranked for x in self.suite.tasks if x.name == task)

    def label(self, method: str) -> str:
        return f"{method} ({ROLES[method]})" if method in ROLES else method
