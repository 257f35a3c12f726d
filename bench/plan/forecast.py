"""Estimate what jobs will take from records: of this folder, of the repository, or of other jobs of their kind.

Imports nothing heavy, since plans and runs print estimates.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median

from bench.core.job_costs import (
    JobCost,
    committed_costs,
    committed_suites,
    job_name,
    method_of,
    read_log,
)
from bench.core.papers import is_rehearsal
from bench.core.text import roughly
from bench.plan import Suite, load

COMMAND = re.compile(r"python -m bench\.stages\.(\w+ \S+\.json'?(?: \S+)?)$", re.MULTILINE)
START = 0.3  # seconds of a job beside its work: the workflow, a fork, imports
OF_SUITE = ("figure", "tables", "report", "published")  # jobs that take long where a suite is large
UNKNOWN = 10.0  # seconds of a job of a kind that no record has


@dataclass(frozen=True)
class Forecast:
    """own: records of this suite's jobs; others: of all other suites, by suite."""

    own: Mapping[str, JobCost]
    others: Mapping[str, Mapping[str, JobCost]]

    @classmethod
    def of_suite(cls, name: str, log: Path) -> Forecast:
        """Return the forecast of a suite: from its log, then from its committed record, then from other suites'."""
        records = {suite: committed_costs(suite) for suite in committed_suites()}
        own = {**records.pop(name, {}), **succeeded(read_log(log))}
        return cls(own, records)

    @cached_property
    def _alike(self) -> dict[tuple[str, str], float]:
        """Return the mean seconds of jobs by stage and method, and by stage alone with the method "".

        For jobs OF_SUITE it is the median, so that a single large suite does not dominate.
        """
        seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        for record in (self.own, *self.others.values()):
            for cost in record.values():
                for key in {(cost.stage, cost.method), (cost.stage, "")}:
                    seconds[key].append(cost.seconds)
        return {
            key: median(values) if key[0] in OF_SUITE else fmean(values)
            for key, values in seconds.items()
        }

    def knows(self, job: str) -> bool:
        """Return whether this suite has run the job before, here or where its record was made."""
        return job in self.own

    def seconds(self, job: str) -> float:
        """Return the seconds that a job will take, its start included."""
        if job in self.own:
            return self.own[job].seconds + START
        stage = job.partition(" ")[0]
        alike = (self._alike.get(key) for key in ((stage, method_of(job)), (stage, "")))
        return next((value for value in alike if value is not None), UNKNOWN) + START

    def lines(self, jobs: Iterable[str], cores: int) -> list[str]:
        """Return what jobs will take, in words: for each stage, then in all."""
        jobs = list(jobs)
        counts, seconds = Counter(job.partition(" ")[0] for job in jobs), Counter()
        for job in jobs:
            seconds[job.partition(" ")[0]] += self.seconds(job)
        table = [
            f"  {stage:10} {counted(counts[stage], 'job'):>8} {roughly(spent):>8}"
            for stage, spent in seconds.most_common()
        ]
        return [*table, self.sentence(jobs, cores)] if jobs else ["Nothing is left to do."]

    def sentence(self, jobs: Iterable[str], cores: int) -> str:
        """Return in words how long jobs will take on `cores` cores, the largest memory, and how many are guessed."""
        jobs = list(jobs)
        whole = time_on(cores, ((job, self.seconds(job)) for job in jobs))
        known = [job for job in jobs if self.knows(job)]
        mib = max((self.own[job].mib for job in known), default=0)
        memory = f", at most {mib / 1024:.1f} GiB of memory a job" if mib else ""
        num = len(jobs) - len(known)
        kind = "of them without a record, taken to last as others of their kind"
        guessed = f"; {num} {kind}" if num else ""
        work, place = counted(len(jobs), "job"), counted(cores, "core")
        return f"{work}, about {roughly(whole)} on {place}{memory}{guessed}."


def counted(number: int, what: str) -> str:
    """Return `1 job` or `2 jobs`."""
    return f"{number} {what}" + ("s" if number != 1 else "")


def succeeded(costs: Mapping[str, JobCost]) -> dict[str, JobCost]:
    """Return the records of jobs that ended well."""
    return {job: cost for job, cost in costs.items() if not cost.error}


def time_on(cores: int, seconds: Iterable[tuple[str, float]]) -> float:
    """Return the seconds that jobs (name, seconds) take on `cores` cores: their sum over cores, or the longest job.

    Jobs of the clock have the machine to themselves.
    """
    seconds = list(seconds)
    alone = sum(time for job, time in seconds if job.startswith("clock "))
    shared = [time for job, time in seconds if not job.startswith("clock ")]
    return alone + max(sum(shared) / max(cores, 1), max(shared, default=0.0))


def print_forecast(suite: str, printed: str, cores: int) -> None:
    """Print what the jobs of a dry run would take, given the suite's file and what Snakemake printed."""
    loaded = load({"suite": suite})
    forecast = Forecast.of_suite(loaded.content["name"], loaded.layout.job_log)
    jobs = [job_name(shlex.split(command)) for command in COMMAND.findall(printed)]
    print("\n".join(forecast.lines(jobs, cores)))
    if "paper" in loaded.content and not is_rehearsal(loaded.root) and not forecast.own:
        print(words_of_large_networks(loaded))


def words_of_large_networks(suite: Suite) -> str:
    """Return a sentence which says that guesses are for small networks, and how many hours the suite's own take."""
    from bench.plan.gpu_hours import gpu_hours  # it imports methods

    hours = gpu_hours(suite)
    own = "far longer" if hours is None else f"about {max(hours, 1):.0f} hours of a GPU"
    return f"These are times of small networks. Those of this suite take {own}: see posterior-bench papers."
