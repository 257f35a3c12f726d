"""A measurement operator whose faults would change numbers without a word is refused before a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from bench.plan.constructors import is_shipped
from bench.plan.operator_trial import operator_fault
from bench.problems import make_problem
from bench.problems.inverse_problem import InverseProblem

SHAPE = (1, 4, 8)


@dataclass(frozen=True)
class Pairs:
    """Means of pairs of pixels along each row."""

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.unflatten(-1, (-1, 2)).mean(-1)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return v.repeat_interleave(2, -1) / 2

    def measured_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*x_shape[:-1], x_shape[-1] // 2)


class Doubled(Pairs):
    def adjoint(self, v, y=None):
        return 2 * super().adjoint(v, y)


class Short(Pairs):
    def adjoint(self, v, y=None):
        return v


class InPlace(Pairs):
    def __call__(self, x, y=None):
        return super().__call__(x.clamp_(0, 1))


class Half(Pairs):
    def __call__(self, x, y=None):
        return super().__call__(x).half()


class Centred(Pairs):
    def __call__(self, x, y=None):
        return super().__call__(x - x.mean(0))


class Detached(Pairs):
    def __call__(self, x, y=None):
        return super().__call__(x.detach())


class Noisy(Pairs):
    def __call__(self, x, y=None):
        return super().__call__(x + torch.rand_like(x))


class Infinite(Pairs):
    def __call__(self, x, y=None):
        return super().__call__(x) / 0


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (Doubled, "adjoint is not that of A: <x, adjoint(v)> is 2 <A(x), v>"),
        (Short, "adjoint(v) is (3, 1, 4, 4), expected (3, 1, 4, 8)"),
        (InPlace, "A(x) changes its argument x"),
        (Half, "A(x) has dtype torch.float16 for x of torch.float64"),
        (Centred, "A(x) of an image depends on the other images of the call"),
        (Detached, "A(x) has no gradient"),
        (Noisy, "A(x) differs between two calls"),
        (Infinite, "A(x) has NaN or infinity"),
    ],
)
def test_each_fault_is_one_line(kind, line):
    assert str(operator_fault(InverseProblem(kind(), 0.1, SHAPE))).startswith(
        f"{kind.__name__}: {line}"
    )
    assert operator_fault(InverseProblem(Pairs(), 0.1, SHAPE)) is None


@pytest.mark.parametrize(
    ("name", "parameters", "rate"),
    [
        ("denoise", {}, None),
        ("denoise", {}, 10.0),
        ("inpaint-box", {"box": 4}, None),
        ("phase", {"oversample": 2.0}, None),
        ("average-pool", {"factor": 4}, None),
        ("jpeg", {"quality": 10}, None),
        ("saturate", {"gain": 2.0}, None),
    ],
)
def test_operators_of_this_package_pass(name, parameters, rate):
    assert is_shipped(name)
    assert operator_fault(make_problem(name, parameters, 0.1, (3, 16, 16), rate=rate)) is None
