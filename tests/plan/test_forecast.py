"""The forecast of a job's seconds is recorded: by the same job here or elsewhere, or by jobs of its kind."""

from __future__ import annotations

import re

import pytest

from bench.core import job_costs
from bench.core.job_costs import JobCost, add_to_log
from bench.core.shipped import shipped
from bench.plan.forecast import COMMAND, START, UNKNOWN, Forecast, print_forecast, time_on
from bench.plan.watch import TRUST, Progress

DPS, APS = "sample runs/box/dps/seed0", "sample runs/box/aps/seed0"
TRAIN, TABLES = "train train/box/aps/seed0", "tables suite"


def record(**seconds: float) -> dict[str, JobCost]:
    return {job: JobCost(job, time, 512.0) for job, time in seconds.items()}


@pytest.fixture
def forecast() -> Forecast:
    other = record(**{"sample runs/phase/dps/seed0": 10.0, "sample runs/phase/ods/seed0": 40.0})
    return Forecast(record(**{DPS: 6.0}), {"other": other})


def test_the_forecast_of_a_job_is_its_record_or_that_of_its_method_or_its_stage(forecast):
    assert forecast.seconds(DPS) == 6.0 + START
    assert forecast.seconds("sample runs/phase/dps/seed1") == pytest.approx(8.0 + START)
    assert forecast.seconds(APS) == pytest.approx((6 + 10 + 40) / 3 + START)
    assert forecast.seconds(TABLES) == UNKNOWN + START
    assert forecast.knows(DPS) and not forecast.knows(APS)


def test_records_of_a_large_suite_do_not_forecast_a_small_one():
    sizes = {"small": 2.0, "default": 20.0, "large": 1000.0}
    others = {name: record(**{TABLES: seconds}) for name, seconds in sizes.items()}
    assert Forecast({}, others).seconds(TABLES) == 20.0 + START


def test_jobs_share_the_cores_and_the_longest_is_the_least():
    jobs = [(DPS, 3.0), (APS, 3.0), (TABLES, 2.0)]
    assert time_on(2, jobs) == 4.0 and time_on(8, jobs[1:]) == 3.0 and time_on(2, []) == 0.0
    assert time_on(2, [*jobs, ("clock clock/box/dps/seed0 1", 5.0)]) == 9.0


def test_a_plan_lists_the_seconds_of_each_stage_and_which_are_guessed(forecast):
    *stages, last = forecast.lines([DPS, APS, TABLES], cores=2)
    assert [line.split() for line in stages] == [
        ["sample", "2", "jobs", "25", "s"],
        ["tables", "1", "job", "10", "s"],
    ]
    assert last == (
        "3 jobs, about 19 s on 2 cores, at most 0.5 GiB of memory a job; 2 of them without a record, taken to last as "
        "others of their kind."
    )
    assert forecast.lines([], 2) == ["Nothing is left to do."]


def test_the_suites_own_log_comes_before_its_record(tmp_path, monkeypatch):
    (tmp_path / "results/reference/costs").mkdir(parents=True)
    (tmp_path / "results/reference/costs/mine.csv").write_text(
        f"job,seconds,mib\n{DPS},5,100\n{APS},7,100\n"
    )
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "jobs.log"
    add_to_log(str(log), JobCost(DPS, 1.0, 50.0))
    add_to_log(str(log), JobCost(APS, 1.0, 50.0, error="ValueError: it failed"))
    forecast = Forecast.of_suite("mine", log)
    assert {job: cost.seconds for job, cost in forecast.own.items()} == {DPS: 1.0, APS: 7.0}
    assert job_costs.committed_suites() == ["mine"] and forecast.others == {}
    assert Forecast.of_suite("yours", log).own == {DPS: JobCost(DPS, 1.0, 50.0)}


def test_a_suite_of_large_networks_is_not_timed_as_others_of_small_ones(
    capsys, tmp_path, monkeypatch
):
    command = "python -m bench.stages.sample results/x/specs/runs/ffhq-sr4/dps/seed0.json\n"
    monkeypatch.chdir(tmp_path)
    print_forecast(str(shipped("config/papers/dps_ffhq256.yaml")), command, 2)
    assert re.search(
        r"Those of this suite take about \d\d+ hours of a GPU", capsys.readouterr().out
    )
    print_forecast(str(shipped("config/smoke.yaml")), command, 2)
    assert "GPU" not in capsys.readouterr().out


def test_commands_of_a_dry_run_are_found():
    printed = (
        "[Fri Nov 27]\nJob 3: figure ranks\n    input: a.json\n"
        "Shell command: python -m bench.stages.figure results/x/specs/suite.json ranks\n"
        "        python -m bench.stages.sample results/x/specs/runs/box/dps/seed0.json\n"
        "see python -m bench.stages.report --help\n"
    )
    assert COMMAND.findall(printed) == [
        "figure results/x/specs/suite.json ranks",
        "sample results/x/specs/runs/box/dps/seed0.json",
    ]


def test_progress_counts_jobs_and_estimates_the_remaining_time():
    done = set()
    progress = Progress(
        "results/x",
        {"a": (DPS, 100.0), "b": (APS, 60.0), "c": (TABLES, 80.0)},
        done.__contains__,
        2,
    )
    assert progress.line(20.0).startswith("results/x: 0 of 3 jobs done in 20 s; about")
    done |= {"a", "b"}
    # of 120 s of records on two cores 80 are left, and 40 took 160: TRUST seconds count at the records' pace
    left = 80.0 * (160 + TRUST) / (40 + TRUST)
    assert progress.seconds_left(160.0, [(TABLES, 80.0)]) == pytest.approx(left)
    assert progress.line(160.0) == (
        "results/x: 2 of 3 jobs done in 2 min 40 s, 0.75 per min; about 3 min left"
    )
    done.add("c")
    assert progress.line(200.0).endswith("about 1 s left")
