"""Some failures change a job's params, so that the next run tries it again."""

from __future__ import annotations

from bench.core.retries import note_failure, retry_file, times_tried


def test_a_failure_of_the_method_leaves_no_trace(tmp_path):
    note_failure(tmp_path / "a", "ValueError", is_passing=False)
    assert not retry_file(tmp_path / "a").exists() and times_tried(tmp_path / "a", None) == ""


def test_each_failure_of_the_machine_is_tried_once_more_and_a_success_rests(tmp_path):
    told = [times_tried(tmp_path / "a", None)]
    for _ in range(2):
        note_failure(tmp_path / "a", "MemoryError", is_passing=True)
        told.append(times_tried(tmp_path / "a", {"seconds": 3}))
    assert len(set(told)) == 3 and told[-1] == times_tried(tmp_path / "a", {"seconds": 9})


def test_a_run_over_a_limit_is_tried_again_once_there_is_another(tmp_path):
    note_failure(tmp_path / "a", "exceeded 3 s", is_passing=False, over={"seconds": 3.0})
    told = [
        times_tried(tmp_path / "a", limits) for limits in ({"seconds": 3}, {"seconds": 9}, None)
    ]
    assert told[0] == "" and len(set(told)) == 3


def test_a_count_that_cannot_be_read_is_none(tmp_path):
    retry_file(tmp_path / "a").write_text("no json")
    assert times_tried(tmp_path / "a", None) == ""
