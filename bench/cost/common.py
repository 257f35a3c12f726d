"""Options of the command `python -m bench.cost`, a timer of CPU seconds, and texts for limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Say = Callable[[str], None]  # prints a line, and keeps it for the record


@dataclass(frozen=True)
class Options:
    """Options of the command line; each question reads those that concern it."""

    priors: Path = Path("results/default/priors")
    repeats: int = 5  # how often each of the two things compared is timed
    side: int = 64  # pixels along an image, for `pairs`
    largest: int = 256  # pixels along a side of the largest images, for `sizes`
    naive: int = 2  # measurements whose distances are also computed pair by pair
    suite: str = "smoke"  # the suite whose workflow is run
    cores: int = 2


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this process, which other jobs on the machine hardly change."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def format_range(seconds: Sequence[float]) -> str:
    """Return median, smallest and largest value as text."""
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def at_most(value: float, limit: float) -> str:
    """Return `at most 1.05: met`, or `NOT met`."""
    return f"at most {limit:g}: {'met' if value <= limit else 'NOT met'}"


def at_least(value: float, limit: float) -> str:
    """Return `at least 10: met`, or `NOT met`."""
    return f"at least {limit:g}: {'met' if value >= limit else 'NOT met'}"
