"""The batch probe: the number of rows grows as long as they fit into memory and raise the throughput."""

from __future__ import annotations

import pytest
import torch

from bench.priors.atoms import Atoms
from bench.runtime import batch_size as module
from bench.runtime.batch_size import probe, rows_of_network

CPU, PLENTY = torch.device("cpu"), 2.0**60


def rows_per_second(largest: int, useful: int, tried: list[int]):
    """A call that runs out of memory above `largest` rows, and whose rate grows up to `useful` ones."""

    def call(rows: int) -> float:
        tried.append(rows)
        if rows > largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return float(min(rows, useful))

    return call


@pytest.mark.parametrize(
    ("largest", "useful", "most", "found", "why"),
    [
        (9, 100, 64, 8, "16 at once do not fit into memory"),
        (100, 4, 64, 4, "8 at once are no faster"),
        (100, 100, 20, 16, "20 are all there are"),
    ],
)
def test_doubles_until_it_does_not_pay(largest, useful, most, found, why):
    tried: list[int] = []
    best = probe(rows_per_second(largest, useful, tried), float, most, CPU, limit=PLENTY)
    assert (best.rows, best.result, best.why) == (found, float(found), why)
    assert tried == [2**i for i in range(len(tried))] and tried[-1] <= min(2 * found, most)


def test_what_never_fits_is_an_error():
    with pytest.raises(torch.OutOfMemoryError, match="not even the smallest batch fits"):
        probe(rows_per_second(0, 1, []), float, 8, CPU, limit=PLENTY)


def test_stops_before_memory_is_gone(monkeypatch):
    monkeypatch.setattr(module, "in_use", lambda device: 100)
    tried: list[int] = []
    monkeypatch.setattr(module, "most_used", lambda device: 100 + 10 * tried[-1])  # bytes
    best = probe(rows_per_second(1000, 1000, tried), float, 512, CPU, limit=500)
    # 32 rows take 420 bytes; 64 would take 740
    assert (
        best.rows == 32
        and tried[-1] == 32
        and best.why.startswith("64 at once would take more than")
    )


def test_a_long_call_is_the_last():
    best = probe(float, float, 64, CPU, is_enough=lambda result: result >= 4, limit=PLENTY)
    assert best.rows == 4 and best.why == "a call for 4 takes long enough"


def test_of_a_prior_there_is_a_number():
    prior = Atoms(torch.zeros(3, 1, 4, 4, dtype=torch.float64))
    assert 1 <= rows_of_network(prior, torch.float64, CPU, most=4).rows <= 4
