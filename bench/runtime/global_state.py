"""Put back the state that a plug-in shares with all code of its process: random generators, settings, environment."""

from __future__ import annotations

import contextlib
import os
import random
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


GLOBAL_STATE: dict[str, tuple[Callable, Callable]] = {
    "torch's global random generator": (torch.get_rng_state, torch.set_rng_state),
    "numpy's global random generator": (np.random.get_state, np.random.set_state),
    "Python's global random generator": (random.getstate, random.setstate),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default device": (torch.get_default_device, _set_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's choice of algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
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
