"""Jobs that the most seconds of work wait for start first."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.core.job_costs import JobCost, add_to_log
from bench.plan import load
from bench.plan.order import Order, way_to_the_end
from bench.plan.rules import Rules


def test_the_way_to_the_end_is_the_longest_chain_of_jobs_that_wait():
    dependencies = {"prior": [], "short": ["prior"], "long": ["prior"], "table": ["short", "long"]}
    seconds = {"prior": 1.0, "short": 2.0, "long": 30.0, "table": 4.0}
    way = way_to_the_end(dependencies, dependencies, seconds.__getitem__)
    assert way == {"prior": 35.0, "short": 6.0, "long": 34.0, "table": 4.0}


def test_a_priority_is_the_recorded_seconds_of_a_job_and_its_successors(tmp_path, monkeypatch):
    rules = Rules(load({"suite": "smoke"}))
    run = {name: str(value) for name, value in rules.all["sample"].cases[0].items()}
    task = {"task": run["task"]}
    monkeypatch.chdir(tmp_path)
    log = rules.suite.layout.job_log
    log.parent.mkdir(parents=True)
    for seconds, job in (
        (700.0, f"sample runs/{run['task']}/{run['method']}/seed{run['seed']}"),
        (80.0, f"evaluate evaluate/{run['task']}"),
    ):
        add_to_log(str(log), JobCost(job, seconds, 1.0))
    order = Order(rules, SimpleNamespace(dag=Dag(("sample", run), ("evaluate", task), ("all", {}))))
    assert order.of("sample")(run) == pytest.approx(780, abs=1)
    assert order.of("evaluate")(task) == pytest.approx(80, abs=1)
    assert order.of("all")({}) == order.of("sample")({"task": "none"}) == 0


class Dag:
    """Jobs (rule, wildcards), each of which waits for the one before it, as Snakemake has them."""

    def __init__(self, *jobs: tuple[str, dict[str, str]]) -> None:
        self.jobs = [Job(rule, wildcards) for rule, wildcards in jobs]
        self.dependencies = {
            job: self.jobs[i - 1 : i] if i else [] for i, job in enumerate(self.jobs)
        }

    def needrun_jobs(self) -> list[Job]:
        return self.jobs


class Job:
    def __init__(self, rule: str, wildcards: dict[str, str]) -> None:
        self.rule, self.wildcards = SimpleNamespace(name=rule), wildcards
