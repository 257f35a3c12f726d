"""How every command ends: quietly, or with one line that says what to do."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable

from bench.artefacts import ArtefactError
from bench.lease import lease


class UserError(Exception):
    """One line for the user: what was expected, what came, what to do."""


def run(main: Callable[..., None], *, leased: bool = True) -> None:
    """Call `main` with the command line's arguments; errors meant for the user become one line and exit status 1.

    leased: it has the CPU beside other jobs, and waits while a clock has it alone; False: it sees to that itself.
    """
    keep_memory()
    try:
        with lease() if leased else contextlib.nullcontext():
            main(*sys.argv[1:])
    except (ArtefactError, UserError) as error:
        sys.exit(f"error: {error}")


def keep_memory() -> None:
    """Have freed memory kept for the next step: samplers ask for the same megabytes thousands of times, and to get them
    anew from the system each time takes up to a third of their time. For the C library of Linux; elsewhere nothing."""
    m_trim_threshold, m_mmap_max = -1, -4  # of mallopt(3)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
