"""Waiting for processes that others started."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is so; the test fails when it is not after some seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_ended(pid: int | str) -> bool:
    """Return whether a process is gone, or waits only for its parent to ask for it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"
