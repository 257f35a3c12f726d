"""Print messages while a suite runs: how many jobs there are and how long they will take, then how many are done."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.core.job_costs import job_name
from bench.core.text import duration, roughly
from bench.plan.forecast import Forecast, time_on
from bench.plan.suite import Suite

SECONDS_BETWEEN_LINES = 30.0
TRUST = 60.0  # weight of the recorded pace, in seconds of work, against the pace of this run
Job = tuple[str, float]  # its name, and how many seconds it is expected to take


def watch(suite: Suite, workflow: Any) -> None:
    """Print how long a run of Snakemake will take, and then, until this process ends, how far it has come."""
    cores = (workflow.cores if workflow.local_exec else workflow.nodes) or 1
    forecast = Forecast.of_suite(suite.content["name"], suite.layout.job_log)
    dag = workflow.dag
    names = {
        job: job_name([job.rule.name, job.params.spec, *extra(job.wildcards)])
        for job in dag.needrun_jobs()
        if "spec" in job.params.keys()  # noqa: SIM118 (of Snakemake, no dict)
    }
    if not names:
        return
    say(f"{suite.root}: {forecast.sentence(names.values(), cores)}")
    known = {job: (name, forecast.seconds(name)) for job, name in names.items()}
    Progress(suite.root, known, dag.finished, cores).start()


def extra(wildcards: Mapping[str, str]) -> list[str]:
    """Return the arguments of a job's command after its spec: the figure, or the number of the visit."""
    return [wildcards[name] for name in ("figure", "visit") if name in wildcards.keys()]  # noqa: SIM118


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Progress(threading.Thread):
    """A thread that prints every 30 s how many jobs of a run are done, since when, and how long the rest will take.

    jobs: name and expected seconds of each, by the key with which `is_done` knows it.
    """

    def __init__(
        self, suite: str, jobs: Mapping[Any, Job], is_done: Callable[[Any], bool], cores: int
    ) -> None:
        super().__init__(daemon=True)  # it ends with the process
        self.suite, self.jobs, self.is_done, self.cores = suite, dict(jobs), is_done, cores
        self.begin = time.monotonic()

    def run(self) -> None:
        while True:
            time.sleep(SECONDS_BETWEEN_LINES)
            say(self.line(time.monotonic() - self.begin))

    def line(self, elapsed: float) -> str:
        """Return `results/digits: 45 of 129 jobs done in 6 min 10 s, 7.3 per min; about 9 min left`."""
        left = [known for job, known in self.jobs.items() if not self.is_done(job)]
        num_done = len(self.jobs) - len(left)
        rate = f", {60 * num_done / elapsed:.2g} per min" if num_done else ""
        done = f"{num_done} of {len(self.jobs)} jobs done in {duration(elapsed)}{rate}"
        return f"{self.suite}: {done}; about {roughly(self.seconds_left(elapsed, left))} left"

    def seconds_left(self, elapsed: float, left: list[Job]) -> float:
        """Return the seconds for the jobs that are left, at a pace between the recorded one and that of this run."""
        remaining = time_on(self.cores, left)
        expected = time_on(self.cores, self.jobs.values()) - remaining
        return remaining * (elapsed + TRUST) / (max(expected, 0.0) + TRUST)
