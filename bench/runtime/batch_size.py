"""How many rows at once: as many as fit and still bring something."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import torch

from bench.core.types import Cap, Prior
from bench.runtime.stopwatch import peak, reset_peak, synchronise

T = TypeVar("T")
FASTER = 1.05  # what twice the rows must bring for a further doubling
SHARE = 0.8  # of the memory that may be used


@dataclass(frozen=True)
class Probed(Generic[T]):
    """The best number of rows, what the call for them gave, and why there was no further doubling."""

    rows: int
    result: T
    why: str


def probe(
    call: Callable[[int], T],
    rate: Callable[[T], float],
    most: int,
    device: torch.device,
    enough: Callable[[T], bool] = lambda _: False,
    limit: float | None = None,
    before: int | None = None,
) -> Probed[T]:
    """Call with 1, 2, 4, ... rows, `most` at most, while they fit and `rate` of the result grows by FASTER.

    limit: bytes, SHARE of what there is by default. Twice the rows are taken to need at most twice the memory that
    these took beyond what was in use `before` any such call (by default: now), since on a CPU a process that asks for
    too much is killed, and never told.
    enough: whether a result is to be the last.
    """
    limit = SHARE * memory(device) if limit is None else limit
    before = in_use(device) if before is None else before
    best, rows, why = None, 1, f"{most} are all there are"
    while rows <= most:
        reset_peak(device)
        result = where_it_fits(partial(call, rows), device)
        if result is None:
            why = f"{rows} at once do not fit into memory"
            break
        if best is not None and rate(result) < FASTER * rate(best.result):
            why = f"{rows} at once are no faster"
            break
        best = Probed(rows, result, why)
        used = most_used(device)
        if enough(result):
            why = f"a call for {rows} takes long enough"
            break
        rows *= 2
        if rows <= most and used + max(used - before, 0) > limit:
            why = f"{rows} at once would take more than {limit / 2**30:.3g} GiB of memory"
            break
    if best is None:
        raise torch.OutOfMemoryError("not even the smallest batch fits into memory")
    return Probed(best.rows, best.result, why)


def where_it_fits(call: Callable[[], T], device: torch.device) -> T | None:
    """What the call gives; None where memory ran out, which is free again then."""
    with contextlib.suppress(torch.OutOfMemoryError):
        return call()
    if device.type == "cuda":  # not before the error, and with it the tensors of its frames, is gone
        torch.cuda.empty_cache()
    return None


def rows_of_network(prior: Prior, dtype: torch.dtype, device: torch.device, most: int = 2**16) -> Probed[float]:
    """How many rows go through the prior's network at once, forward and backward; the result is in rows per second.

    Up to half of the memory: what a method keeps beside the network is not there yet.
    """
    shape = prior.shape if Cap.DENOISER in prior.caps else prior.latent_shape

    def call(rows: int) -> float:
        seconds = []
        for _ in range(2):  # the first one pays for what is done once
            begin = time.perf_counter()
            x = torch.zeros(rows, *shape, dtype=dtype, device=device, requires_grad=True)
            denoises = Cap.DENOISER in prior.caps
            output = prior.denoise(x, torch.ones((), dtype=dtype, device=device)) if denoises else prior.decode(x)
            torch.autograd.grad(output.sum(), x)
            synchronise(device)
            seconds.append(time.perf_counter() - begin)
        return rows / seconds[1]

    return probe(call, lambda rate: rate, most, device, limit=memory(device) / 2)


def memory(device: torch.device) -> int:
    """Bytes: of a GPU all of them, of a machine those that are available or in this process's use already."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    found = [_line(Path("/proc/meminfo"), "MemAvailable:") + in_use(device)]
    with contextlib.suppress(OSError, ValueError):  # what a container may use, where it says so
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)


def in_use(device: torch.device) -> int:
    """Bytes that this process has now."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return _line(Path("/proc/self/status"), "VmRSS:")


def most_used(device: torch.device) -> int:
    return max(peak(device).values())


def _line(file: Path, key: str) -> int:
    """Bytes of a line `key N kB`; a system without such a file is taken to have 4 GiB and to use nothing."""
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    return 2**32 if key == "MemAvailable:" else 0
