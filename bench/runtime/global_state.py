"""Put back the state that a plug-in shares with all code of its process: random generators, settings, environment."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch


def _environment() -> dict[str, str]:
    """Return the environment, less what torch itself adds at the first step of an optimiser."""
    return {name: x for name, x in os.environ.items() if not name.startswith("TORCHINDUCTOR_")}


def _set_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _set_device(device: torch.device) -> None:
    """Set the default device; a CPU is the default without a setting, and a setting costs time."""
    torch.set_default_device(None if device.type == "cpu" else device)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _choice_of_algorithms() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _choose_algorithms(choice: tuple[bool, bool]) -> None:
    deterministic, warns_only = choice
    torch.use_deterministic_algorithms(deterministic, warn_only=warns_only)


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in HANDLED}


def _set_handlers(handlers: dict[int, Any]) -> None:
    """Set the handlers of signals; only the main thread may, and one that C code had set stays as it is."""
    signal.setitimer(signal.ITIMER_REAL, 0)  # a timer without its handler would end the process
    with contextlib.suppress(ValueError):
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _resources() -> dict[int, tuple[int, int]]:
    return {kind: resource.getrlimit(kind) for kind in LIMITED}


def _set_resources(limits: dict[int, tuple[int, int]]) -> None:
    """Set the limits of files, memory and handles; a hard limit that was lowered stays so without privileges."""
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, limit)


def _cudnn() -> tuple[bool, ...]:
    return tuple(getattr(torch.backends.cudnn, name) for name in OF_CUDNN)


def _set_cudnn(settings: tuple[bool, ...]) -> None:
    for name, value in zip(OF_CUDNN, settings, strict=True):
        setattr(torch.backends.cudnn, name, value)


def _flushes_denormals() -> bool:
    """Return whether this thread rounds numbers below 2.2e-308 to 0: torch only sets that, and does not tell."""
    return sys.float_info.min / 2 == 0


def _collects_garbage() -> tuple[bool, tuple[int, int, int]]:
    return gc.isenabled(), gc.get_threshold()


def _collect_garbage(settings: tuple[bool, tuple[int, int, int]]) -> None:
    is_on, thresholds = settings
    gc.set_threshold(*thresholds)
    (gc.enable if is_on else gc.disable)()


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _set_priority(priority: int) -> None:
    """Set the priority; one that was lowered stays so without privileges."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, priority)


OF_CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32")
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD)
LIMITED = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
GLOBAL_STATE: dict[str, tuple[Callable, Callable]] = {
    "torch's global random generator": (torch.get_rng_state, torch.set_rng_state),
    "numpy's global random generator": (np.random.get_state, np.random.set_state),
    "Python's global random generator": (random.getstate, random.setstate),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default device": (torch.get_default_device, _set_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's choice of algorithms": (_choice_of_algorithms, _choose_algorithms),
    "torch's precision of products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch's detection of anomalies": (
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
    ),
    "cuDNN's settings": (_cudnn, _set_cudnn),
    "the flushing of denormal numbers": (_flushes_denormals, torch.set_flush_denormal),
    "numpy's handling of errors": (np.geterr, lambda kinds: np.seterr(**kinds)),
    "Python's collection of garbage": (_collects_garbage, _collect_garbage),
    "Python's limit of recursion": (sys.getrecursionlimit, sys.setrecursionlimit),
    "the handlers of signals": (_handlers, _set_handlers),
    "the limits of the process": (_resources, _set_resources),
    "the priority of the process": (_priority, _set_priority),
    "the environment": (_environment, _set_environment),
    "the mask of permissions": (_umask, os.umask),
}


SETTINGS = tuple(name for name in GLOBAL_STATE if "generator" not in name)


@contextlib.contextmanager
def kept_state(names: Iterable[str] = tuple(GLOBAL_STATE)) -> Iterator[list[str]]:
    """Put back the state of the process after the block, also where it raised; yield the names of what was changed.

    The list that is yielded is filled at the end. names: which parts of GLOBAL_STATE.
    """
    before = {name: GLOBAL_STATE[name][0]() for name in names}
    changed = list[str]()
    try:
        yield changed
    finally:
        for name, value in before.items():
            get, restore = GLOBAL_STATE[name]
            if not _equal(get(), value):
                changed.append(name)
                restore(value)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return a == b if isinstance(a, dict) else np.array_equal(a, b)
