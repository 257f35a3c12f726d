"""Report the progress of long jobs: a bar on a terminal, one line every 30 s in a log."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BEFORE_BAR = 2.0  # loops that end sooner show no bar


def progress(iterable: Iterable[T], total: int | None = None, what: str = "") -> Iterable[T]:
    """Return the iterable; it reports on stderr how many of its items were consumed.

    On a terminal that is a bar of tqdm with steps done, rate and time left. Elsewhere it is one line every 30 s, and
    nothing for a loop that ends sooner. A loop of one step has no progress to show.

    total: number of steps; None: len(iterable) where it has a length, else unknown.
    what: name of the job in the line, e.g. the method and the task.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if total == 1:
        return iterable
    if not sys.stderr.isatty():
        return _in_lines(iterable, total, what)
    from tqdm import tqdm  # imported late: jobs in a log do not need it

    show = {"file": sys.stderr, "dynamic_ncols": True, "leave": False, "delay": SECONDS_BEFORE_BAR}
    return tqdm(iterable, desc=what or None, total=total, **show)


@contextlib.contextmanager
def reported(count: Callable[[], float], total: int | None, what: str) -> Iterator[None]:
    """Print a line on stderr every 30 s while the block runs: how far `count()` has come, at what rate, time left.

    This is for work inside one call; a thread calls `count`. total: where the count ends, None where it is not known.
    """
    ended, begin = threading.Event(), time.perf_counter()

    def report() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            if done := count():
                line = line_of(what, done, total, time.perf_counter() - begin)
                with contextlib.suppress(OSError, ValueError):  # a method may close the streams
                    print(line, file=sys.stderr, flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(1.0)  # it may hang on a stream that nobody reads


def line_of(what: str, done: float, total: int | None, seconds: float) -> str:
    """Return `what: 120 of 400, 3.1 per s, 90 s left` for `done` steps in `seconds` > 0."""
    rate = done / seconds
    line = f"{done:.0f}"
    line += f", {rate:.3g} per s" if total is None else f" of {total}, {rate:.3g} per s"
    if total is not None and done:
        line += f", {max(total - done, 0) / rate:.0f} s left"
    return f"{what}: {line}" if what else line


def _in_lines(iterable: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    now = time.perf_counter
    begin = now()
    due = begin + SECONDS_BETWEEN_LINES
    for done, item in enumerate(iterable):
        if (time_now := now()) >= due:
            print(line_of(what, done, total, time_now - begin), file=sys.stderr, flush=True)
            due = time_now + SECONDS_BETWEEN_LINES
        yield item
