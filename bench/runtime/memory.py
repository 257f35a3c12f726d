"""Read how much memory a device has and uses, and wait for its queued work."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import torch

UNKNOWN_MEMORY = 2**32  # bytes assumed where the system does not report its memory


def total(device: torch.device) -> int:
    """Return bytes: all memory of a GPU; of a machine, what is available or already in use by this process."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    sizes = [_bytes_in(Path("/proc/meminfo"), "MemAvailable:", UNKNOWN_MEMORY) + in_use(device)]
    with contextlib.suppress(OSError, ValueError):  # a container's limit, where it has one
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(sizes)


def in_use(device: torch.device) -> int:
    """Return bytes that this process has now: reserved by the allocator on a GPU, resident elsewhere."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return _bytes_in(Path("/proc/self/status"), "VmRSS:", 0)


def allocated() -> int:
    """Return bytes that this process holds now: allocated on a GPU where it uses one, else resident.

    It reads a shorter file than `in_use`, since budgets ask before each call of a network.
    """
    if torch.cuda.is_initialized():
        return torch.cuda.memory_allocated()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux, which only reports the peak
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak(device: torch.device) -> None:
    """Forget earlier peaks: the allocator's on a GPU, that of resident memory on Linux; elsewhere do nothing."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> dict[str, int]:
    """Return the most bytes since `reset_peak`: allocated and reserved on a GPU, resident elsewhere."""
    if device.type == "cuda":
        allocated_bytes = torch.cuda.max_memory_allocated(device)
        reserved = torch.cuda.max_memory_reserved(device)
        return {"allocated": allocated_bytes, "reserved": reserved}
    largest = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # cannot be reset
    return {"resident": _bytes_in(Path("/proc/self/status"), "VmHWM:", largest)}


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all work that was queued on it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _bytes_in(file: Path, key: str, default: int) -> int:
    """Return bytes of a line `key N kB`; `default` on a system without such a file."""
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    return default
