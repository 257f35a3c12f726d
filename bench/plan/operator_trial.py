"""Try a measurement operator on a few random images before a run, for faults that change numbers without a word."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.problems.inverse_problem import InverseProblem

FEW = 3  # images
LIMIT = 1e-3  # relative; an operator may compute in float32


def operator_fault(problem: InverseProblem) -> str | None:
    """Return what is wrong with a problem's operator in one line, None if nothing is found."""
    name = type(problem.operator).__name__
    rng = Rng(("trial of an operator",), list(range(FEW)))
    x = rng.rand((1, *problem.x_shape)).flatten(0, 1).double() * 2 - 1
    before, shape = x.clone(), problem.uniform_shape
    uniform = rng.rand((1, *shape)).flatten(0, 1).double() if shape else None
    y = problem.measure(x, problem.draw_noise(rng, 1, x), uniform)
    if not torch.equal(x, before):
        return f"{name}: A(x) changes its argument x; it must leave x as it is"
    clean = problem.operator(x, y)
    if not (y.isfinite().all() and clean.isfinite().all()):
        return f"{name}: A(x) has NaN or infinity"
    if clean.dtype != x.dtype:
        return f"{name}: A(x) has dtype {clean.dtype} for x of {x.dtype}; expected the same"
    if _differ(clean, problem.operator(x, y)):
        return f"{name}: A(x) differs between two calls; draw what is random in draw_mask"
    if _differ(clean[:1], problem.operator(x[:1], y[:1])):
        return f"{name}: A(x) of an image depends on the other images of the call"
    if Cap.GRAD in problem.caps and not _has_gradient(problem, x, y):
        return f"{name}: A(x) has no gradient with respect to x; set differentiable = False if it cannot have one"
    return _adjoint_fault(problem, x, y, clean) if Cap.LINEAR in problem.caps else None


def _differ(a: Tensor, b: Tensor) -> bool:
    return a.shape != b.shape or bool((a - b).norm() > LIMIT * a.norm())


def _has_gradient(problem: InverseProblem, x: Tensor, y: Tensor) -> bool:
    with torch.enable_grad():
        return bool(problem.operator(x.clone().requires_grad_(), y).requires_grad)


def _adjoint_fault(problem: InverseProblem, x: Tensor, y: Tensor, clean: Tensor) -> str | None:
    """Return a line unless <A(x), v> = <x, A^T v> for each image."""
    name = type(problem.operator).__name__
    v = torch.rand(clean.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype) - 0.5
    back = problem.operator.adjoint(v, y)
    if not isinstance(back, Tensor) or back.shape != x.shape:
        got = tuple(back.shape) if isinstance(back, Tensor) else type(back).__name__
        return f"{name}: adjoint(v) is {got}, expected {tuple(x.shape)}, as x"
    there = (clean * v).flatten(1).sum(1)
    here = (x * back).flatten(1).sum(1)
    scale = clean.flatten(1).norm(dim=1) * v.flatten(1).norm(dim=1)
    if ((there - here).abs() > LIMIT * scale).any():
        ratio = (here / there)[0].item()
        return f"{name}: adjoint is not that of A: <x, adjoint(v)> is {ratio:.3g} <A(x), v>, expected 1"
    return None
