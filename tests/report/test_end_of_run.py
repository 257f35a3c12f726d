"""The summary at the end of a run: what is done, what failed and why, what to open; also for unfinished suites."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.synthetic_results import LEFT_OUT, METHODS, TASKS, write_results

from bench.core.artefacts import read_json, write_json, write_tensors
from bench.core.job_costs import JobCost, add_to_log
from bench.core.layout import VERDICT, Layout
from bench.report.end_of_run import duration, summary
from bench.stages import tables

NUM_RUNS = len(TASKS) * len(METHODS) - len(LEFT_OUT)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(write_results(tmp_path / "suite").parents[1])


def test_failures_and_needs_are_named_with_task_method_and_reason(layout):
    lines = summary(layout)
    text = "\n".join(lines)
    assert lines[0] == f"{layout.root}:"
    assert (
        f"{NUM_RUNS - 2} of {NUM_RUNS} runs succeeded" in text
        and "1 failed" in text
        and "1 n/a" in text
    )
    assert "gmm-phase dps-n1000 seed 0: ValueError: step 17 gave | values_of 100% NaN" in text
    assert "latent_langevin needs DECODER: atoms-sr4" in text
    assert "Not made" not in text and "It took" not in text


def test_images_that_were_skipped_are_counted(layout):
    facts = {"num_skipped": 2, "skipped": ["b.png: cannot be decoded", "c.png: is 3 x 4 pixels"]}
    counts = {"num_images": {"train": 5, "validation": 2, "test": 1}}
    for name, header in (("mine", facts | counts), ("whole", {"num_skipped": 0})):
        write_tensors(layout.data(name), {}, header)
    lines = summary(layout)
    start = lines.index("  Images that were skipped:")
    assert lines[start + 1] == (
        "    mine: 2 (1 for test, 5 for train, 2 for validation are left), first b.png: cannot be decoded"
    )
    assert not any("whole" in line for line in lines)


def test_time_and_new_runs_count_from_the_start(layout):
    text = "\n".join(summary(layout, started=time.time() - 3670))
    assert f"{NUM_RUNS} made now" in text and "It took 1 h 01 min." in text
    assert "0 made now" in "\n".join(summary(layout, started=time.time() + 60))
    assert "sampling" in text and "2 min 00 s of training" in text  # 30 s on each of four tasks
    assert [duration(seconds) for seconds in (7.4, 90, 1510, 5000)] == [
        "7 s",
        "1 min 30 s",
        "25 min 10 s",
        "1 h 23 min",
    ]


def test_the_summary_of_an_unfinished_suite_names_missing_parts_and_where_it_stopped(layout):
    shutil.rmtree(layout.root / "runs" / "gmm-phase" / "aps")
    (layout.root / "runs" / "atoms-sr4" / "dps" / "seed0" / "samples.safetensors").write_bytes(
        b"\xff" * 20
    )
    text = "\n".join(summary(layout, log="some.log"))
    assert "Not made:\n    aps: gmm-phase" in text
    assert "atoms-sr4 dps seed 0: samples.safetensors is truncated" in text
    assert text.endswith(
        "It stopped before the end: no job could say why: it was killed, or memory or disk ran out; see some.log. "
        "The same command then goes on from here."
    )


def test_measurements_that_failed_in_a_successful_run_are_reported(layout):
    tables.main(str(layout.spec("suite")))
    path = layout.table("summary.csv")
    row = next(
        line for line in path.read_text().splitlines() if line.startswith("gmm-phase,dps,energy,")
    )
    path.write_text(
        path.read_text().replace(
            row, "gmm-phase,dps,energy,,,,2,failed (2 of 16 measurements: not finite)"
        )
    )
    text = "\n".join(summary(layout))
    assert (
        "Measurements that failed:\n    gmm-phase dps: energy failed (2 of 16 measurements: not finite)"
        in text
    )


def test_failed_jobs_are_reported_until_they_succeed(layout):
    log, job = str(layout.job_log), "evaluate evaluate/gmm-phase"
    add_to_log(log, JobCost(job, 1.0, 100.0, error="ValueError: no such column"))
    text = "\n".join(summary(layout, log="some.log"))
    assert f"Jobs that failed:\n    {job}: ValueError: no such column" in text
    assert text.splitlines()[-1].strip().startswith("It stopped before the end: mend what is named")
    long = f"UserError: {'x' * 300}; delete it and run again"
    add_to_log(log, JobCost(job, 1.0, 100.0, error=long))
    assert f"{job}: {long}" in "\n".join(summary(layout, log="some.log"))
    add_to_log(log, JobCost(job, 1.0, 100.0))
    assert "see some.log" in summary(layout, log="some.log")[-1]
    assert "Jobs that failed" not in "\n".join(summary(layout))


def test_the_end_of_a_run_agrees_with_the_tables(layout):
    path = layout.table(VERDICT)
    path.parent.mkdir(exist_ok=True)
    sentences = ("dps is tied for best.", "The exact sampler is at the floor.", "Nothing failed.")
    path.write_text("".join(f"- {sentence}\n" for sentence in (*sentences, "Commit abc.")))
    layout.report.write_text("page")
    assert summary(layout)[-4:] == [
        "  dps is tied for best.",
        "  The exact sampler is at the floor.",
        "  Nothing failed.",
        f"  Open {layout.report}",
    ]


def test_a_suite_of_times_counts_what_was_timed(layout):
    shutil.rmtree(layout.root / "runs")
    write_json(
        layout.run("gmm-phase", "dps", 0).timing,
        {"status": "ok", "reason": "", "train_seconds": 0.0},
    )
    write_json(
        layout.run("gmm-phase", "oracle", 0).timing, {"status": "n/a", "reason": "needs EXACT"}
    )
    timed = [["gmm-phase", "dps", 0], ["gmm-phase", "oracle", 0], ["gmm-phase", "aps", 0]]
    write_json(
        layout.spec("suite"), read_json(layout.spec("suite")) | {"timed": timed, "compares": False}
    )
    text = "\n".join(summary(layout))
    assert (
        "1 of 3 runs succeeded, 1 n/a, 1 missing." in text
        and "oracle needs EXACT: gmm-phase" in text
    )


def test_the_summary_names_the_page_or_else_the_files_that_exist(layout, tmp_path):
    assert not any("Open" in line for line in summary(layout))
    layout.figures.mkdir()
    assert summary(layout)[-1] == f"  Open {layout.figures}"
    layout.report.write_text("page")
    assert summary(layout)[-1] == f"  Open {layout.report}"
    assert summary(Layout(tmp_path / "nothing")) == [f"{tmp_path / 'nothing'}:"]


def test_the_command_takes_a_folder_or_a_spec_and_imports_nothing_heavy(layout):
    code = "import sys; from bench.stages import summary; summary.main(sys.argv[1]); print(*sorted(sys.modules))"
    for path in (layout.root, layout.spec("suite")):
        out = subprocess.run(
            [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
        ).stdout
        assert "runs succeeded" in out
        assert not {"torch", "numpy", "pandas", "matplotlib"} & set(out.splitlines()[-1].split())
