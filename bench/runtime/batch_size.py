"""Find how many rows to compute at once: as many as fit into memory and still raise the rate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import torch

from bench.core.types import Cap, Prior
from bench.runtime.memory import in_use, peak, reset_peak, synchronise, total

T = TypeVar("T")
# ratio of the rates of twice the rows and of the rows: a smaller one ends the doubling
LEAST_GAIN = 1.05
USABLE_SHARE = 0.8  # of the memory


@dataclass(frozen=True)
class Probed(Generic[T]):
    """The best number of rows, the result of the call for them, and why the number was not doubled again."""

    rows: int
    result: T
    why: str


def probe(
    call: Callable[[int], T],
    rate: Callable[[T], float],
    most: int,
    device: torch.device,
    is_enough: Callable[[T], bool] = lambda _: False,
    limit: float | None = None,
    before: int | None = None,
) -> Probed[T]:
    """Call with 1, 2, 4, ... rows, `most` at most, while they fit and `rate` of the result grows by LEAST_GAIN.

    is_enough: whether a result is to be the last. limit: bytes, USABLE_SHARE of all memory by default.
    before: bytes in use before any such call, by default now. Twice the rows are assumed to take up to twice the memory
    beyond `before`, and are not tried where that is over the limit, since on a CPU the system would kill the process.
    Raises OutOfMemoryError where one row does not fit.
    """
    limit = USABLE_SHARE * total(device) if limit is None else limit
    before = in_use(device) if before is None else before
    best, rows = None, 1
    while rows <= most:
        reset_peak(device)
        result = result_if_it_fits(partial(call, rows), device)
        if result is None:
            return _stopped(best, f"{rows} at once do not fit into memory")
        if best is not None and rate(result) < LEAST_GAIN * rate(best.result):
            return _stopped(best, f"{rows} at once are no faster")
        best = Probed(rows, result, f"{most} are all there are")
        if is_enough(result):
            return _stopped(best, f"a call for {rows} takes long enough")
        used, rows = most_used(device), 2 * rows
        if rows <= most and used + max(used - before, 0) > limit:
            return _stopped(
                best, f"{rows} at once would take more than {limit / 2**30:.3g} GiB of memory"
            )
    return _stopped(best, f"{most} are all there are")


def _stopped(best: Probed[T] | None, why: str) -> Probed[T]:
    if best is None:
        raise torch.OutOfMemoryError("not even the smallest batch fits into memory")
    return replace(best, why=why)


def result_if_it_fits(call: Callable[[], T], device: torch.device) -> T | None:
    """Return the result of the call; None where memory ran out, after that memory was freed."""
    with contextlib.suppress(torch.OutOfMemoryError):
        return call()
    # not inside an `except`, where the error still holds the tensors of its frames
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def most_used(device: torch.device) -> int:
    """Return the most bytes in use since the peak was reset, by the largest of the device's counts."""
    return max(peak(device).values())


def rows_of_network(
    prior: Prior, dtype: torch.dtype, device: torch.device, most: int = 2**16
) -> Probed[float]:
    """Return how many rows to send through the prior's network at once, forward and backward, and rows per second.

    They may take up to half of the memory, since a method will keep tensors of its own beside the network.
    """
    call = partial(_rows_per_second, prior, dtype, device)
    return probe(call, lambda rate: rate, most, device, limit=total(device) / 2)


def _rows_per_second(prior: Prior, dtype: torch.dtype, device: torch.device, rows: int) -> float:
    """Time a pass of `rows` zeros forward and backward, after a first one that includes one-time costs."""
    denoises, seconds = Cap.DENOISER in prior.caps, 0.0
    for _ in range(2):
        begin = time.perf_counter()
        shape = prior.shape if denoises else prior.latent_shape
        x = torch.zeros(rows, *shape, dtype=dtype, device=device, requires_grad=True)
        output = (
            prior.denoise(x, torch.ones((), dtype=dtype, device=device))
            if denoises
            else prior.decode(x)
        )
        torch.autograd.grad(output.sum(), x)
        synchronise(device)
        seconds = time.perf_counter() - begin
    return rows / seconds
