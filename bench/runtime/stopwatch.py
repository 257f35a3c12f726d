"""Seconds, memory and energy of a piece of work: warm, synchronised, repeated."""

from __future__ import annotations

import contextlib
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

FEWEST, MOST = 5, 25  # repeats
SMALL_SPREAD = 0.03  # of the inter-quartile range over the median: more repeats would not tell more
PATIENCE = 60.0  # seconds
SHORTEST = 0.1  # seconds: what else the machine does is less than the spread of this
LONG = 1.0  # seconds: a first call that is not tried for more of them


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat, and the smallest share of a core that the process had in one of them (CPU only).

    first: seconds of the call before them, which pays for what is done once: compiling, choosing kernels, caches.
    """

    first: float
    seconds: tuple[float, ...]
    cpu_share: float | None
    peak: dict[str, int]  # bytes
    joules: float | None  # per call, where the device tells

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def spread(self) -> float:
        """Inter-quartile range over the median."""
        low, high = self.quartiles
        return (high - low) / self.median


def measure(
    work: Callable[[], object],
    device: torch.device,
    *,
    fewest: int = FEWEST,
    most: int = MOST,
    patience: float = PATIENCE,
    shortest: float = SHORTEST,
) -> Timing:
    """Time `work`, after one untimed call of it, until the spread is small: `fewest` to `most` times.

    patience: seconds, after which a spread that stays large is reported as it is. shortest: seconds of a repeat; where
    a call takes less, a repeat is the mean of several.
    """
    begin = time.perf_counter()
    work()
    synchronise(device)
    first = time.perf_counter() - begin
    number = calls_in(shortest, work, device) if first < LONG else 1
    reset_peak(device)
    seconds: list[float] = []
    shares: list[float] = []
    energy, begin = joules(device), time.perf_counter()
    while len(seconds) < fewest or (len(seconds) < most and not _enough(seconds, begin, patience)):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(number):
            work()
        synchronise(device)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        seconds.append(wall / number)
        shares.append(cpu / wall)
    spent = joules(device)
    per_repeat = (spent - energy) / len(seconds) / number if energy is not None and spent is not None else None
    return Timing(first, tuple(seconds), min(shares) if device.type == "cpu" else None, peak(device), per_repeat)


def calls_in(seconds: float, work: Callable[[], object], device: torch.device) -> int:
    """How many calls of `work` take at least so long, a power of two."""
    number = 1
    while seconds > 0:
        begin = time.perf_counter()
        for _ in range(number):
            work()
        synchronise(device)
        if time.perf_counter() - begin >= seconds:
            break
        number *= 2
    return number


def _enough(seconds: list[float], begin: float, patience: float) -> bool:
    return Timing(0.0, tuple(seconds), None, {}, None).spread < SMALL_SPREAD or time.perf_counter() - begin > patience


def synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def reset_peak(device: torch.device) -> None:
    """Forget earlier peaks: of the allocator on a GPU, of the process's resident memory on Linux, else of nothing."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> dict[str, int]:
    """Bytes at most since `reset_peak`: allocated and reserved on a GPU, resident elsewhere."""
    if device.type == "cuda":
        allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
        return {"allocated": allocated, "reserved": reserved}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return {"resident": 1024 * int(line.split()[1])}
    return {"resident": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def joules(device: torch.device) -> float | None:
    """Energy that a GPU has used since its driver was loaded, by NVML; None where nothing tells."""
    if device.type != "cuda":
        return None
    try:
        pynvml, handle = _handle(device)
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except Exception:  # noqa: BLE001 (no package, no driver, a device without a counter: each has an error of its own)
        return None


def machine(device: torch.device) -> dict[str, object]:
    """Name, driver and clock of what the work ran on."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device), "cuda": torch.version.cuda, **_nvml(device)}
    facts: dict[str, object] = {"device": "cpu"}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key in ("model name", "cpu MHz"):
                facts.setdefault(key, value)
    return facts


def _handle(device: torch.device) -> tuple[ModuleType, object]:
    """NVML, and its name for the device: by UUID, since its numbers know nothing of CUDA_VISIBLE_DEVICES."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def _nvml(device: torch.device) -> dict[str, object]:
    try:
        pynvml, handle = _handle(device)
        clock = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
        return {"driver": pynvml.nvmlSystemGetDriverVersion(), "SM MHz": clock}
    except Exception:  # noqa: BLE001 (as above)
        return {}
