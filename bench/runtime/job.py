"""Run a command: errors that the user can mend become one line and exit status 1."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.core.artefacts import ArtefactError
from bench.core.errors import UserError
from bench.core.job_costs import WORK_LOG, JobCost, add_to_log, job_name
from bench.runtime.lease import lease


def run(main: Callable[..., None], *, leased: bool = True) -> None:
    """Call `main` with the command line's arguments; errors meant for the user become one line and exit status 1.

    leased: hold the CPU together with other jobs, and wait while a clock has it alone; False: `main` does that itself.
    """
    keep_memory()
    begin, error = (time.perf_counter(), time.process_time()), ""
    try:
        with lease() if leased else contextlib.nullcontext():
            begin = time.perf_counter(), begin[1]  # waiting for the lease is no work
            main(*sys.argv[1:])
    except (ArtefactError, UserError) as fault:
        error = str(fault)
        sys.exit(f"error: {fault}")
    except Exception as fault:
        error = f"{type(fault).__name__}: {fault}"
        raise
    finally:
        if WORK_LOG in os.environ:
            add_to_log(os.environ[WORK_LOG], cost_since(*begin, error))


def cost_since(begin: float, cpu_begin: float, error: str) -> JobCost:
    """Return what this process took since two times, of the clock and of the processor, and its largest memory."""
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; on macOS bytes
    mib = largest / (2**20 if sys.platform == "darwin" else 2**10)
    job = job_name([Path(sys.argv[0]).stem, *sys.argv[1:]])
    return JobCost(
        job, round(seconds, 3), round(mib, 1), round(cpu_seconds, 3), " ".join(error.split())
    )


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
