"""Run a command: errors of the user's become one line and exit status 1, those of a plug-in cells without numbers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from bench.core.artefacts import ArtefactError, Unwritable, check, written_only_while
from bench.core.errors import UserError
from bench.core.job_costs import WORK_LOG, JobCost, add_to_log, job_name
from bench.runtime.containment import Ending, contained
from bench.runtime.lease import lease
from bench.runtime.orphans import watch

USERS = (
    ArtefactError,
    UserError,
)  # errors that the user can mend, or of files that have to be made again


def run(
    main: Callable[..., None],
    *,
    leased: bool = True,
    failed: Callable[..., None] | None = None,
    refuses: tuple[type[Exception], ...] = USERS,
    outputs: Callable[..., Iterable[Path]] | None = None,
) -> None:
    """Call `main` with the command line's arguments; errors meant for the user become one line and exit status 1.

    leased: hold the CPU together with other jobs, and wait while a clock has it alone; False: `main` does that itself.
    failed: for a command that calls a plug-in. `main` then has a process of its own, and where that fails,
    `failed(ending, *arguments)` writes the reason in place of the outputs of `main`. refuses: kinds of errors that
    still count as the user's. outputs: for a command that calls a method, the files for the same arguments; where these
    cannot be written or are not whole, the method has failed, which may have changed what its process can do.
    """
    watch()
    keep_memory()
    begin, error = (time.perf_counter(), work_seconds()), ""
    try:
        with lease() if leased else contextlib.nullcontext():
            begin = time.perf_counter(), begin[1]  # waiting for the lease is not work
            if failed is None:
                main(*sys.argv[1:])
            else:
                _contain(main, failed, refuses, outputs)
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
    """Return the seconds of this command since `begin` and `cpu_begin`, and its largest memory.

    Processes that it has started and that have ended are included.
    """
    seconds, cpu_seconds = time.perf_counter() - begin, work_seconds() - cpu_begin
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    largest = max(resource.getrusage(one).ru_maxrss for one in who)  # KiB; on macOS bytes
    mib = largest / (2**20 if sys.platform == "darwin" else 2**10)
    job = job_name([Path(sys.argv[0]).stem, *sys.argv[1:]])
    return JobCost(
        job, round(seconds, 3), round(mib, 1), round(cpu_seconds, 3), " ".join(error.split())
    )


def _contain(
    main: Callable[..., None],
    failed: Callable[..., None],
    refuses: tuple[type[Exception], ...],
    outputs: Callable[..., Iterable[Path]] | None,
) -> None:
    """Call `main` in a process of its own, and `failed` where that fails.

    On a disk that is full, `failed` cannot write, either, and its error is the user's. Where UserError is not among
    `refuses`, as for data sets and priors, a failure is always tried again.
    """
    spec, *more = sys.argv[1:]
    with written_only_while(spec):  # a run that changes the spec makes the outputs again
        made = {path: _version(path) for path in outputs(spec, *more)} if outputs else {}
        passing = () if outputs is None else (Unwritable,)
        ending = contained(lambda: main(spec, *more), refuses, passing)
        if ending.status == "ok":
            ending = _ending_of(made)
        if ending.status == "refused":
            raise UserError(ending.reason)
        if ending.status != "ok":
            print(f"{' '.join([Path(sys.argv[0]).stem, spec, *more])}: {ending}", file=sys.stderr)
            is_part = UserError not in refuses and not ending.is_inherited
            failed(replace(ending, is_passing=ending.is_passing or is_part), spec, *more)


def _ending_of(before: Mapping[Path, tuple[int, int] | None]) -> Ending:
    """Return how work ended that says it has ended well: it has failed unless all its files are new and intact."""
    for path, version in before.items():
        try:
            check(path)
        except ArtefactError as error:
            return Ending("failed", f"its process ended without writing its result: {error}")
        if _version(path) == version:
            return Ending("failed", f"its process ended without writing {path.name}")
    return Ending("ok")


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is written; None where there is none."""
    with contextlib.suppress(OSError):
        facts = path.stat()
        return facts.st_ino, facts.st_mtime_ns
    return None


def work_seconds() -> float:
    """Return the CPU time of this process and of those that it has started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def keep_memory() -> None:
    """Keep freed memory in this process, on Linux; elsewhere do nothing.

    Samplers allocate the same megabytes thousands of times, and asking the system each time can take a third of their
    time.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # of mallopt(3)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
