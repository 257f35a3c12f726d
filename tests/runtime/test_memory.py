"""Memory of a process: how much there is, and the peak since its reset."""

from __future__ import annotations

import mmap
import sys

import pytest
import torch

from bench.runtime.memory import peak, reset_peak, total
from bench.runtime.stopwatch import measure

CPU = torch.device("cpu")


def test_there_is_memory() -> None:
    assert total(CPU) > 2**20


def held(num_bytes: int) -> mmap.mmap:
    """Memory that is given back when it is closed, which an allocator may not do."""
    memory = mmap.mmap(-1, num_bytes)
    memory.write(b"1" * num_bytes)
    return memory


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are reset on Linux only")
def test_peak_is_of_the_work_alone():
    big = held(2**27)
    reset_peak(CPU)
    before = peak(CPU)["resident"]
    big.close()
    reset_peak(CPU)
    small = peak(CPU)["resident"]
    assert small < before - 100 * 2**20
    timing = measure(lambda: held(2**27).close(), CPU)
    assert timing.peak["resident"] > small + 100 * 2**20
