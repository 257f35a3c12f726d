"""Measure seconds, memory and energy of a piece of work, repeated after a first call that is not counted."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.runtime.memory import peak, reset_peak, synchronise

FEWEST, MOST = 5, 25  # repeats
# inter-quartile range over the median below which no more repeats are made
SMALL_SPREAD = 0.03
PATIENCE = 60.0  # seconds
SHORTEST_REPEAT = 0.1  # seconds: interruptions by the system are short beside this
LONG_CALL = 1.0  # seconds: where the first call takes longer, a repeat is one call


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat, with what was measured beside them.

    first: seconds of the call before them, which includes one-time costs: compiling, choosing kernels, filling caches.
    cpu_share: the smallest share of a core that the process had in one of the repeats; None on a GPU.
    peak: bytes. joules: per call; None where the device does not report them.
    """

    first: float
    seconds: tuple[float, ...]
    cpu_share: float | None
    peak: dict[str, int]
    joules: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def spread(self) -> float:
        """Return the inter-quartile range over the median."""
        low, high = self.quartiles
        return (high - low) / self.median


def measure(
    work: Callable[[], object],
    device: torch.device,
    *,
    fewest: int = FEWEST,
    most: int = MOST,
    patience: float = PATIENCE,
    shortest: float = SHORTEST_REPEAT,
) -> Timing:
    """Time `work`, after one untimed call of it, until the spread is small: `fewest` to `most` times.

    patience: seconds, after which a spread that stays large is reported as it is. shortest: seconds of a repeat; where
    a call takes less, a repeat is the mean of several.
    """
    first = _wall_and_cpu_seconds(work, 1, device)[0]
    num_calls = calls_lasting(shortest, work, device) if first < LONG_CALL else 1
    reset_peak(device)
    joules_before, begin = joules(device), time.perf_counter()
    seconds: list[float] = []
    shares: list[float] = []
    while len(seconds) < fewest or (
        len(seconds) < most and not _is_settled(seconds, begin, patience)
    ):
        wall, cpu = _wall_and_cpu_seconds(work, num_calls, device)
        seconds.append(wall / num_calls)
        shares.append(cpu / wall)
    joules_after, per_call = joules(device), None
    if joules_before is not None and joules_after is not None:
        per_call = (joules_after - joules_before) / len(seconds) / num_calls
    return Timing(
        first, tuple(seconds), min(shares) if device.type == "cpu" else None, peak(device), per_call
    )


def calls_lasting(seconds: float, work: Callable[[], object], device: torch.device) -> int:
    """Return how many calls of `work` take at least `seconds`, a power of two."""
    num_calls = 1
    while seconds > 0 and _wall_and_cpu_seconds(work, num_calls, device)[0] < seconds:
        num_calls *= 2
    return num_calls


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return seconds of one call: on a CPU of this process, which other jobs do not lengthen, else by the wall."""
    synchronise(device)
    wall, cpu = _wall_and_cpu_seconds(work, 1, device)
    return cpu if device.type == "cpu" else wall


def _wall_and_cpu_seconds(
    work: Callable[[], object], num_calls: int, device: torch.device
) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(num_calls):
        work()
    synchronise(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def _is_settled(seconds: list[float], begin: float, patience: float) -> bool:
    is_even = Timing(0.0, tuple(seconds), None, {}, None).spread < SMALL_SPREAD
    return is_even or time.perf_counter() - begin > patience


def joules(device: torch.device) -> float | None:
    """Return the energy that a GPU has used since its driver was loaded, by NVML; None where it cannot be read."""
    if device.type != "cuda":
        return None
    try:
        pynvml, handle = _nvml_handle(device)
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except Exception:
        # no package, no driver, a device without a counter: each has an error of its own
        return None


def machine(device: torch.device) -> dict[str, object]:
    """Return name, driver and clock rate of the device."""
    if device.type == "cuda":
        return {
            "device": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            **_nvml_facts(device),
        }
    facts: dict[str, object] = {"device": "cpu"}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key in ("model name", "cpu MHz"):
                facts.setdefault(key, value)
    return facts


def _nvml_handle(device: torch.device) -> tuple[Any, Any]:
    """Return NVML and its handle of the device, by UUID, since NVML's numbers ignore CUDA_VISIBLE_DEVICES."""
    import pynvml  # pyright: ignore[reportMissingImports] (not a dependency: only to read energy)

    pynvml.nvmlInit()
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(
        f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    )


def _nvml_facts(device: torch.device) -> dict[str, object]:
    try:
        pynvml, handle = _nvml_handle(device)
        clock = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
        return {"driver": pynvml.nvmlSystemGetDriverVersion(), "SM MHz": clock}
    except Exception:  # as above
        return {}
