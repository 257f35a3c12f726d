"""Recorded costs of jobs are read as written, and a damaged log is read up to the damage."""

from __future__ import annotations

import csv
import io

from bench.core.job_costs import JobCost, add_to_log, costs_csv, job_name, read_log

RUN = JobCost("sample runs/box/dps/seed0", 12.3456, 512.0, 11.0)
FAILED = JobCost("evaluate evaluate/box", 1.0, 100.0, 1.0, "ValueError: no")


def test_a_job_has_the_same_name_in_every_suite():
    words = ("sample", "results/default/specs/runs/box/dps/seed0.json")
    assert job_name(words) == job_name(["sample", "/else/mine/specs/runs/box/dps/seed0.json"])
    assert job_name(words) == RUN.job and (RUN.stage, RUN.method) == ("sample", "dps")
    visit = job_name(["clock", "results/x/specs/clock/box/dps/seed0.json", "2"])
    assert visit == "clock clock/box/dps/seed0 2"
    assert job_name(["publish", "results/default"]) == "publish results/default"
    assert JobCost("figure suite ranks", 1, 1).method == ""


def test_the_last_line_of_a_job_counts_and_spoiled_lines_are_skipped(tmp_path):
    log = tmp_path / "jobs.log"
    assert read_log(log) == {}
    add_to_log(str(log), FAILED)
    add_to_log(str(log), RUN)
    with log.open("ab") as file:
        file.write(b'{"job": "sample runs/box\n\xff\xfe\n[1]\n{"unknown": 1}\n')
    again = JobCost(FAILED.job, 2.0, 90.0)
    add_to_log(str(log), again)
    assert read_log(log) == {FAILED.job: again, RUN.job: RUN}


def test_a_log_that_cannot_be_written_stops_no_job(tmp_path):
    add_to_log(str(tmp_path / "nowhere" / "jobs.log"), RUN)
    assert not (tmp_path / "nowhere").exists()


def test_the_committed_table_has_what_succeeded():
    (row,) = csv.DictReader(io.StringIO(costs_csv([FAILED, RUN])))
    assert row == {"job": RUN.job, "seconds": "12.35", "mib": "512"}
