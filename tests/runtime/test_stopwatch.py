"""The stopwatch: warm calls, and as many repeats as the spread requires."""

from __future__ import annotations

import time

import torch

from bench.runtime.stopwatch import FEWEST, MOST, measure

CPU = torch.device("cpu")


def calls_of(seconds: list[float]):
    """Work that takes so long in each of its calls, the last of them for ever."""
    done = []

    def work() -> None:
        time.sleep(seconds[min(len(done), len(seconds) - 1)])
        done.append(None)

    return work, done


def test_the_first_call_is_not_timed():
    work, done = calls_of([0.3, 0.02])
    timing = measure(work, CPU, shortest=0.0)
    assert len(done) == len(timing.seconds) + 1 and max(timing.seconds) < 0.2


def test_even_calls_stop_early_and_uneven_ones_go_on():
    work, _ = calls_of([0.02])
    # sleeps of 20 ms differ by tenths of a millisecond; on a loaded machine some may not
    assert FEWEST <= len(measure(work, CPU, shortest=0.0).seconds) <= MOST
    work, _ = calls_of([0.001, *[0.001, 0.02] * MOST])
    timing = measure(work, CPU, shortest=0.0)
    assert len(timing.seconds) == MOST and timing.spread > 0.5


def test_short_calls_are_repeated_in_groups():
    work, done = calls_of([0.001])
    timing = measure(work, CPU, fewest=5, most=5, shortest=0.02)
    assert len(done) > 5 * 2 and 0.001 <= timing.median < 0.01


def test_median_and_quartiles():
    work, _ = calls_of([0.0, *[0.01] * 4, 0.3])
    timing = measure(work, CPU, shortest=0.0, fewest=5, most=5)
    low, high = timing.quartiles
    assert 0.01 <= low <= timing.median <= high < 0.1  # one late call moves none of them


def test_a_sleeping_process_did_not_have_its_core():
    assert measure(lambda: time.sleep(0.01), CPU).cpu_share < 0.5
