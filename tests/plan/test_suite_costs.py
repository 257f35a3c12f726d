"""The table of the costs of suites follows from the committed records."""

from __future__ import annotations

from pathlib import Path

from bench.core.job_costs import JobCost
from bench.plan.forecast import START
from bench.plan.suite_costs import (
    BEGIN,
    END,
    SPEEDUP,
    row_of,
    seconds_on_cores,
    seconds_with_gpu,
    suite_table,
    write_suite_table,
)

REPOSITORY = Path(__file__).resolve().parents[2]
COSTS = [JobCost("sample runs/a/dps/seed0", 80, 1536), JobCost("tables suite", 20, 300)]


def test_the_page_has_the_table_of_the_records():
    page = (REPOSITORY / "docs/suites.md").read_text()
    assert f"{BEGIN}\n{suite_table()}\n{END}" in page, "run posterior-bench docs"


def test_a_row_adds_up_the_jobs_of_a_suite():
    name, jobs, minutes, longest, memory, disk, _ = row_of("of-no-record", COSTS)
    assert (name, jobs, longest) == ("`of-no-record`", "2", "1 min, `sample`")
    assert (minutes, memory, disk) == ("1 min", "1.5 GiB a job", "not recorded")
    assert row_of("x", [JobCost("tables suite", 20, 0)])[4] == "not recorded"


def test_two_cores_share_the_jobs_and_a_gpu_takes_those_of_networks():
    assert seconds_on_cores(COSTS) == 80 + START  # the longest of them
    assert seconds_on_cores(COSTS * 2) == (200 + 4 * START) / 2
    assert seconds_with_gpu(COSTS) == 20 + START
    assert seconds_with_gpu(COSTS * 4) == 4 * (80 / SPEEDUP + START)


def test_only_the_text_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "suites.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_suite_table(page)
    assert page.read_text() == f"before\n{BEGIN}\n{suite_table()}\n{END}\nafter\n"
    page.write_text("no marks")
    write_suite_table(page)
    write_suite_table(tmp_path / "absent.md")
    assert page.read_text() == "no marks" and not (tmp_path / "absent.md").exists()
