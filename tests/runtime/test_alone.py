"""A run notices if the samples of a measurement depend on other rows of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from helpers.descent import Descent

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.runtime.alone import interaction
from bench.runtime.run_method import Draws, sample

NEEDS = Cap.DENOISER | Cap.RESIDUAL | Cap.GRAD


@dataclass(frozen=True)
class PerRow(Descent):
    needs: ClassVar[Cap] = NEEDS

    def sample(self, prior, problem, y, num_samples, *, rng):
        return super().sample(prior, problem, y, num_samples, rng=rng).detach()


@dataclass(frozen=True)
class OverBatch(PerRow):
    """Centres the batch, as a norm over it would couple rows."""

    joint: ClassVar[str] = "independent"

    def sample(self, prior, problem, y, num_samples, *, rng):
        x = super().sample(prior, problem, y, num_samples, rng=rng)
        return x - 0.3 * x.mean((0, 1), keepdim=True)


@dataclass(frozen=True)
class Coupled(OverBatch):
    joint: ClassVar[str] = "coupled"


@dataclass(frozen=True)
class NeedsMany(PerRow):
    def sample(self, prior, problem, y, num_samples, *, rng):
        assert len(y) > 1, "a batch is expected"
        return super().sample(prior, problem, y, num_samples, rng=rng)


def found(method, m: int = 4, s: int = 6, rows_per_chunk: int = 100) -> str:
    prior = ToyPrior()
    problem, ids = ToyProblem(prior), torch.arange(m)
    x_true = prior.sample(1, Rng(("alone",), range(m)))[:, 0]
    y = problem.simulate(x_true, Rng(("y",), range(m)))
    measured = SimpleNamespace(x_true=x_true, y=y, image_id=ids)
    first = SimpleNamespace(x_true=x_true[:1], y=y[:1], image_id=ids[:1])
    draws = Draws("task", 0, s, rows_per_chunk)
    x = sample(method, prior, problem, measured, draws)
    return interaction(method, prior, problem, first, draws, None, x)


@pytest.mark.parametrize("rows_per_chunk", [1, 5, 100])
def test_rows_that_do_not_interact_are_found_equal(rows_per_chunk):
    assert found(PerRow(), rows_per_chunk=rows_per_chunk) == ""


def test_rows_that_interact_are_found():
    assert found(OverBatch()).startswith("a measurement alone differs by 0.")
    assert found(OverBatch(), m=16).startswith("a measurement alone differs by 0.")


def test_samples_of_a_measurement_may_be_coupled():
    assert found(Coupled()) == ""


def test_a_method_that_fails_alone_is_found():
    assert found(NeedsMany()) == "a measurement alone: failed: AssertionError: a batch is expected"
