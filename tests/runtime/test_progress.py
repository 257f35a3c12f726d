"""Progress of long jobs: on a terminal, in a log, and the cost of reporting a step."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bench.runtime import progress as module
from bench.runtime.progress import line_of, progress, reported


class Terminal:
    """A stderr that says that it is a terminal and keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_every_item_comes_once_and_in_order_on_a_terminal_and_in_a_log(monkeypatch) -> None:
    assert list(progress(range(7))) == list(range(7))
    assert list(progress(iter("abc"), total=3)) == ["a", "b", "c"]
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress(range(7), what="draw")) == list(range(7))


def test_a_loop_of_one_step_stays_as_it_is() -> None:
    one = [3]
    assert progress(one, what="draw") is one


def test_a_log_says_nothing_about_a_loop_shorter_than_the_interval(capsys) -> None:
    list(progress(range(100), what="draw"))
    assert capsys.readouterr().err == ""


def test_work_inside_one_call_is_reported_from_another_thread(capsys, monkeypatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.05)
    rows = [0]
    with reported(lambda: rows[0], 400, "sample box dps, network rows"):
        time.sleep(0.12)  # nothing is said before there is something to say
        assert capsys.readouterr().err == ""
        rows[0] = 100
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(
        line.startswith("sample box dps, network rows: 100 of 400, ") for line in lines
    )
    with reported(lambda: 7, None, "train"), pytest.raises(ValueError, match="it failed"):
        time.sleep(0.12)
        raise ValueError("it failed")
    assert "train: 7, " in capsys.readouterr().err
    time.sleep(0.12)
    assert capsys.readouterr().err == ""  # it has ended with the block


def test_a_log_has_a_line_per_interval_with_steps_done_rate_and_time_left(
    capsys, monkeypatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.1)
    for _ in progress(range(10), what="dps on toy"):
        time.sleep(0.025)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 3
    assert (
        lines[0].startswith("dps on toy: ")
        and " of 10, " in lines[0]
        and lines[0].endswith(" s left")
    )


def test_a_line_gives_steps_rate_and_seconds_left() -> None:
    assert line_of("what", 120, 400, 40.0) == "what: 120 of 400, 3 per s, 93 s left"
    assert line_of("", 120, None, 40.0) == "120, 3 per s"
    assert line_of("what", 0, 5, 31.0) == "what: 0 of 5, 0 per s"


def test_a_terminal_shows_a_bar_with_the_name_and_steps_of_all(monkeypatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    list(progress(range(7), what="draw"))
    assert terminal.text.strip("\r ") == ""  # too short for a bar
    monkeypatch.setattr(module, "SECONDS_BEFORE_BAR", 0.0)
    list(progress(range(7), what="draw"))
    assert "draw" in terminal.text and "/7" in terminal.text


@pytest.mark.parametrize("shown", ["log", "terminal"])
def test_a_step_costs_less_than_two_microseconds(shown: str, monkeypatch) -> None:
    if shown == "terminal":
        monkeypatch.setattr(sys, "stderr", Terminal())
    steps = 200_000
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        for _ in progress(range(steps)):
            pass
        seconds.append(time.process_time() - begin)
    assert min(seconds) / steps < 2e-6


def test_a_job_that_shows_progress_imports_neither_torch_nor_in_a_log_tqdm() -> None:
    code = (
        "import sys; from bench.runtime.progress import progress; list(progress(range(3))); "
        "assert not {'torch', 'tqdm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)
