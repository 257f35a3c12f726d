"""Run a command: errors that the user can mend become one line and exit status 1."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.core.artefacts import ArtefactError
from bench.core.errors import UserError
from bench.runtime.lease import lease
from bench.runtime.orphans import watch

# environment variable: a file to which each command adds a line with the CPU time of its work
WORK_LOG = "BENCH_WORK_LOG"


def run(main: Callable[..., None], *, leased: bool = True) -> None:
    """Call `main` with the command line's arguments; errors meant for the user become one line and exit status 1.

    leased: hold the CPU together with other jobs, and wait while a clock has it alone; False: `main` does that itself.
    """
    watch()
    keep_memory()
    begin = time.process_time()
    try:
        with lease() if leased else contextlib.nullcontext():
            main(*sys.argv[1:])
    except (ArtefactError, UserError) as error:
        sys.exit(f"error: {error}")
    finally:
        if WORK_LOG in os.environ:
            # a line `sample <spec> <CPU seconds>`: this process's own work, without its start and imports
            seconds = time.process_time() - begin
            with Path(os.environ[WORK_LOG]).open("a") as log:
                log.write(f"{' '.join([Path(sys.argv[0]).stem, *sys.argv[1:]])} {seconds:.3f}\n")


def keep_memory() -> None:
    """Keep freed memory in this process, on Linux; elsewhere do nothing.

    Samplers ask for the same megabytes thousands of times, and to get them from the system each time takes up to a
    third of their time.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # of mallopt(3)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
