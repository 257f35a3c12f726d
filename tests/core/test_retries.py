"""Which failures change what a job is told, so that the next run tries it again."""

from __future__ import annotations

from bench.core.retries import note_failure, retry_file, times_tried


def test_a_failure_of_the_method_leaves_no_trace(tmp_path):
    note_failure(tmp_path / "a", "ValueError", is_passing=False, is_limit=False)
    assert not retry_file(tmp_path / "a").exists() and times_tried(tmp_path / "a", None) == ""


def test_each_failure_of_the_machine_is_tried_once_more_and_a_success_rests(tmp_path):
    told = [times_tried(tmp_path / "a", None)]
    for _ in range(2):
        note_failure(tmp_path / "a", "MemoryError", is_passing=True, is_limit=False)
        told.append(times_tried(tmp_path / "a", {"seconds": 3}))
    assert len(set(told)) == 3 and told[-1] == times_tried(tmp_path / "a", {"seconds": 9})


def test_a_limit_matters_once_a_run_was_over_it(tmp_path):
    note_failure(tmp_path / "a", "exceeded 3 s", is_passing=False, is_limit=True)
    assert times_tried(tmp_path / "a", {"seconds": 3}) == times_tried(
        tmp_path / "a", {"seconds": 3}
    )
    assert times_tried(tmp_path / "a", {"seconds": 3}) != times_tried(
        tmp_path / "a", {"seconds": 9}
    )


def test_a_count_that_cannot_be_read_is_none(tmp_path):
    retry_file(tmp_path / "a").write_text("no json")
    assert times_tried(tmp_path / "a", None) == ""
