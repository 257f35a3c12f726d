"""An operator that lacks something, or measures something else than it says, is refused in one line that names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.problems import refuse_incomplete
from bench.problems.inverse_problem import InverseProblem
from bench.stages import observe

SHAPE = (1, 4, 4)


@dataclass(frozen=True)
class Columns:
    """Sums of columns that promise a shape with which noise could be broadcast."""

    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    promised: tuple[int, ...] = (1, 4, 4)
    scale: float = 1.0

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.scale * x.sum(-1, keepdim=True)

    def measured_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.promised


class Linear(Columns):
    linear: ClassVar[bool] = True


class Masked(Columns):
    masked: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("operator", "missing"),
    [
        (Linear(), r"adjoint\(\)"),
        (Masked(), r"draw_mask\(\)"),
        (object(), r"linear, masked, measured_shape\(\)"),
    ],
)
def test_what_is_missing_is_named(operator, missing):
    refuse_incomplete("columns", Columns())
    with pytest.raises(ValueError, match=f"operator columns: there is no {missing}; .*conformance"):
        refuse_incomplete("columns", operator)


def test_another_shape_than_promised_is_not_broadcast():
    problem = InverseProblem(Columns(), 0.1, SHAPE)
    with pytest.raises(ValueError, match=r"Columns: A\(x\) is \(2, 1, 4, 1\), measured_shape says"):
        problem.simulate(torch.zeros(2, *SHAPE), Rng(("columns",), range(2)))


def test_values_that_are_not_finite_are_no_measurement():
    problem = InverseProblem(Columns(promised=(1, 4, 1), scale=float("inf")), 0.1, SHAPE)
    with pytest.raises(ValueError, match=r"Columns: A\(x\) has NaN or infinity"):
        observe.measure(problem, "task", torch.ones(2, *SHAPE), torch.arange(2))
