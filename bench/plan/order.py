"""Choose which jobs start first: those with the longest way to the end of the suite, by recorded seconds.

So no core is idle at the end while another is busy with a job that could have begun long ago.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from bench.core.job_costs import job_name
from bench.plan.forecast import Forecast
from bench.plan.rules import Rules
from bench.plan.watch import extra

Key = tuple[str, frozenset[tuple[str, str]]]  # rule and wildcards of a job


class Order:
    """The priorities of a run's jobs, for Snakemake: seconds from a job's start to the end of the suite."""

    def __init__(self, rules: Rules, workflow: Any) -> None:
        self.rules, self.workflow = rules, workflow
        self._known: dict[Key, float] = {}

    def of(self, rule: str) -> Callable[[Mapping[str, str]], float]:
        """Return a rule's priority as a function of wildcards."""
        return lambda wildcards: self._priority((rule, frozenset(wildcards.items())))

    def _priority(self, key: Key) -> float:
        if key not in self._known:  # computed for all jobs at once
            dag, content = self.workflow.dag, self.rules.suite.content
            forecast = Forecast.of_suite(content["name"], self.rules.suite.layout.job_log)
            left = way_to_the_end(
                dag.needrun_jobs(), dag.dependencies, lambda job: self._seconds(job, forecast)
            )
            self._known |= {
                (job.rule.name, frozenset(job.wildcards.items())): seconds
                for job, seconds in left.items()
            }
        return self._known.get(key, 0.0)

    def _seconds(self, job: Any, forecast: Forecast) -> float:
        """Return the expected seconds of a job; 0 where it has no command."""
        rule, wildcards = job.rule.name, dict(job.wildcards.items())
        if rule not in self.rules.all:
            return 0.0
        return forecast.seconds(
            job_name([rule, self.rules.spec_path(rule, wildcards), *extra(wildcards)])
        )


def way_to_the_end(
    jobs: Iterable[Any],
    dependencies: Mapping[Any, Iterable[Any]],
    seconds: Callable[[Any], float],
) -> dict[Any, float]:
    """Return the seconds of each job and of the longest chain of jobs that wait for it."""
    jobs, waiting = list(jobs), defaultdict(list)
    for job in jobs:
        for before in dependencies[job]:
            waiting[before].append(job)

    @cache
    def way(job: Any) -> float:
        return seconds(job) + max(map(way, waiting[job]), default=0.0)

    return {job: way(job) for job in jobs}
