"""The checks that every operator passes: shapes, independent rows, adjoint, spectrum, masks, kernels and gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.conformance.checks import Check, NotApplicable, require
from bench.conformance.plugin import PLUGIN_CHECKS, PluginCase
from bench.core.packed import kernel_of, mask_of
from bench.core.rng import Rng
from bench.core.types import Shape
from bench.problems.inverse_problem import InverseProblem

# sizes that the operator refuses are left out; an operator with a `tiny_shape` is tried on that alone
SIZES: tuple[Shape, ...] = ((1, 8, 8), (3, 8, 8), (1, 16, 12), (3, 16, 16))
ROWS = 5
STREAMS = ("conformance", "operator")
ROUNDING = 1e-11  # bounds the error of a sum of some hundred products of order one in float64


@dataclass(frozen=True)
class Rows:
    """Images x in [-1, 1] with noisy measurements y of them, float64, all of one size."""

    problem: InverseProblem
    x: Tensor
    y: Tensor

    def measured(self, x: Tensor | None = None) -> Tensor:
        """Return A(x), of the case's own images unless x is given."""
        return self.problem.operator(self.x if x is None else x, self.y)

    def __str__(self) -> str:
        return "images of shape " + str(tuple(self.x.shape[1:]))


@dataclass(frozen=True)
class OperatorCase(PluginCase):
    """An operator's file, and measurements of random images of each size that it takes."""

    @cached_property
    def sizes(self) -> list[Rows]:
        return list(self._sizes())

    def _sizes(self) -> Iterator[Rows]:
        own = getattr(self.cls, "tiny_shape", None)
        for shape in (own,) if own else SIZES:
            try:
                problem = InverseProblem(self.instance, 0.1, shape)
            except ValueError:
                continue
            x = 2 * Rng((*STREAMS, *shape), range(ROWS)).rand(shape) - 1
            yield Rows(problem, x, problem.simulate(x, Rng(STREAMS, range(ROWS))))


def declares(case: OperatorCase) -> str:
    for name in ("linear", "masked"):
        require(
            isinstance(getattr(case.cls, name, None), bool),
            f"write `{name}: ClassVar[bool] = ...` in the class",
        )
    needed = [
        "measured_shape",
        *(["adjoint"] if case.cls.linear else []),
        *(["draw_mask"] if case.cls.masked else []),
    ]
    if hasattr(case.cls, "draw_kernel"):
        require(not case.cls.masked, "it has masks and kernels; y holds one of them")
        for name in ("kernel_size", "num_uniform"):
            size = getattr(case.instance, name, None)
            require(isinstance(size, int) and size > 0, f"draw_kernel needs {name}, got {size!r}")
    missing = [name for name in needed if not callable(getattr(case.cls, name, None))]
    require(not missing, f"there is no function {', '.join(missing)}")
    require(
        len(case.sizes) > 0,
        f"measured_shape refuses all of {SIZES}; take smaller parameters in `tiny`",
    )
    return f"linear = {case.cls.linear}, masked = {case.cls.masked}"


def shapes_and_dtypes(case: OperatorCase) -> str:
    for rows in case.sizes:
        before = rows.x.clone()
        expected = (ROWS, *case.instance.measured_shape(rows.problem.x_shape))
        clean = rows.measured()
        require(
            tuple(clean.shape) == expected,
            f"A(x) is {tuple(clean.shape)}, measured_shape says {expected} ({rows})",
        )
        require(torch.equal(before, rows.x), f"A(x) changes x in place ({rows})")
        single = case.instance(rows.x.float(), rows.y.float())
        require(
            single.dtype == torch.float32,
            f"float32 images are measured in {single.dtype}; keep the dtype",
        )
        error = (single.double() - clean).abs().max().item()
        require(error < 1e-3, f"in float32 A(x) differs by {error:.2g} ({rows})")
    return ", ".join(str(tuple(rows.x.shape[1:])) for rows in case.sizes)


def rows_are_independent(case: OperatorCase) -> str:
    for rows in case.sizes:
        calls = [rows.problem.operator, *([case.instance.adjoint] if case.cls.linear else [])]
        for call, given in zip(calls, (rows.x, rows.measured()), strict=False):
            together = call(given, rows.y)
            alone = torch.cat([call(given[i : i + 1], rows.y[i : i + 1]) for i in range(ROWS)])
            error = (alone - together).abs().max().item()
            require(
                error < ROUNDING,
                f"a row alone differs by {error:.2g} from what it is among others ({rows})",
            )
    return ""


def is_linear(case: OperatorCase) -> str:
    if not case.cls.linear:
        raise NotApplicable("it is not linear")
    for rows in case.sizes:
        x, z = rows.x, rows.x.flip(0)
        error = (
            (rows.measured(2 * x - 3 * z) - (2 * rows.measured(x) - 3 * rows.measured(z)))
            .abs()
            .max()
            .item()
        )
        require(
            error < ROUNDING, f"A(2 x - 3 z) differs by {error:.2g} from 2 A(x) - 3 A(z) ({rows})"
        )
    return ""


def adjoint_is_transpose(case: OperatorCase) -> str:
    if not case.cls.linear:
        raise NotApplicable("it is not linear")
    largest = 0.0
    for rows in case.sizes:
        a_x = rows.measured()
        v = Rng(("conformance", "adjoint"), range(ROWS)).randn(tuple(a_x.shape[1:]))
        back = case.instance.adjoint(v, rows.y)
        require(back.shape == rows.x.shape, f"the adjoint gives {tuple(back.shape)} ({rows})")
        difference = (a_x * v).flatten(1).sum(1) - (rows.x * back).flatten(1).sum(1)
        scale = rows.x.flatten(1).norm(dim=1) * v.flatten(1).norm(dim=1)
        largest = max(largest, (difference.abs() / scale).max().item())
        require(
            largest < ROUNDING,
            f"<A x, v> and <x, A^T v> differ by {largest:.2g} of |x| |v| ({rows})",
        )
    return f"dot test to {largest:.0e}"


def masks_are_right(case: OperatorCase) -> str:
    if not case.cls.masked:
        raise NotApplicable("it has no masks")
    for rows in case.sizes:
        mask, a_x = mask_of(rows.y), rows.measured()
        require(
            mask.shape == a_x.shape,
            f"the mask is {tuple(mask.shape)}, A(x) {tuple(a_x.shape)} ({rows})",
        )
        require(((mask == 0) | (mask == 1)).all(), f"a mask has values beside 0 and 1 ({rows})")
        require(not a_x[mask == 0].any(), f"A(x) is not zero where the mask is ({rows})")
        require(mask.flatten(1).any(1).all(), f"a mask hides everything ({rows})")
    return ""


def kernels_are_right(case: OperatorCase) -> str:
    if not hasattr(case.cls, "draw_kernel"):
        raise NotApplicable("its measurements have no kernels of their own")
    size = case.instance.kernel_size
    for rows in case.sizes:
        kernels = kernel_of(rows.y, size)
        shape = tuple(kernels.shape)
        require(shape == (ROWS, size, size), f"the kernels in y are {shape}, kernel_size is {size}")
        require(kernels.isfinite().all(), f"a kernel is not finite ({rows})")
        distinct = len(torch.unique(kernels, dim=0))
        require(distinct == ROWS, f"{ROWS} measurements have {distinct} kernels ({rows})")
    return f"{size} x {size}"


def picture_is_right(case: OperatorCase) -> str:
    if not hasattr(case.cls, "picture"):
        raise NotApplicable("figures show A(x) itself")
    for rows in case.sizes:
        picture = case.instance.picture(rows.y)
        good = picture.ndim == 4 and len(picture) == ROWS and picture.shape[1] in (1, 3)
        require(good, f"picture(y) is {tuple(picture.shape)}, expected ({ROWS}, 1 or 3, h, w)")
        require(picture.isfinite().all(), f"picture(y) is not finite ({rows})")
    return ""


def measurements_are_repeatable(case: OperatorCase) -> str:
    for rows in case.sizes:
        again = rows.problem.simulate(rows.x, Rng(STREAMS, range(ROWS)))
        require(again.equal(rows.y), f"the same random numbers give another y ({rows})")
        for i in (0, ROWS - 1):
            alone = rows.problem.simulate(rows.x[i : i + 1], Rng(STREAMS, [i]))
            error = (alone - rows.y[i : i + 1]).abs().max().item()
            require(
                error < ROUNDING,
                f"measurement {i} alone differs by {error:.2g} from what it is among others ({rows})",
            )
    return ""


def spectrum_is_right(case: OperatorCase) -> str:
    if not hasattr(case.cls, "spectrum"):
        raise NotApplicable("it offers no spectrum")
    require(case.cls.linear, "it has a spectrum, but says that it is not linear")
    largest = 0.0
    for rows in case.sizes:
        spectrum = case.instance.spectrum(rows.y, rows.problem.x_shape)
        values, z = spectrum.values, spectrum.coordinates(rows.x)
        shape = tuple(values.shape)
        good = shape[1:] == rows.problem.x_shape and shape[0] in (1, ROWS)
        require(good, f"the singular values are {shape} for {rows}")
        require(values.min().item() >= 0, f"a singular value is negative ({rows})")
        back, norms = spectrum.image(z), [a.flatten(1).norm(dim=1) for a in (rows.x, z)]
        products = case.instance.adjoint(rows.measured(), rows.y)
        errors = {
            "V V^T x differs from x": back - rows.x,
            "|V^T x| differs from |x|": norms[1] - norms[0],
            "A^T A x differs from V values^2 V^T x": products - spectrum.image(values**2 * z),
        }
        for what, error in errors.items():
            largest = max(largest, error.abs().max().item())
            require(largest < ROUNDING, f"{what} by {largest:.2g} ({rows})")
    return f"to {largest:.0e}"


def gradient_passes(case: OperatorCase) -> str:
    if not getattr(case.cls, "differentiable", True):
        passes = any(
            rows.measured(rows.x.clone().requires_grad_()).requires_grad for rows in case.sizes
        )
        require(not passes, "a gradient passes; leave out `differentiable`")
        raise NotApplicable("it is said not to be differentiable")
    for rows in case.sizes:
        x = rows.x.clone().requires_grad_()
        direction = Rng(("conformance", "direction"), range(ROWS)).randn(tuple(x.shape[1:]))
        weight = Rng(("conformance", "weight"), range(ROWS)).randn(tuple(rows.measured().shape[1:]))
        value = (rows.measured(x) * weight).sum()
        require(
            value.requires_grad,
            f"no gradient passes; write `differentiable: ClassVar[bool] = False` ({rows})",
        )
        (gradient,) = torch.autograd.grad(value, x)
        step = 1e-6
        there, back = (rows.measured(rows.x + sign * step * direction) for sign in (1, -1))
        expected = ((there - back) * weight).sum() / (2 * step)
        error = ((gradient * direction).sum() - expected).abs() / expected.abs().clamp_min(1.0)
        # a step crosses a kink, as of a sensor that saturates, at a few pixels in ten thousand
        require(
            error < 1e-2,
            f"the gradient differs from finite differences by {error.item():.2g} ({rows})",
        )
    return ""


def stored_is_right(case: OperatorCase) -> str:
    if not hasattr(case.instance, "stored"):
        raise NotApplicable("it stores nothing beside the measurements")
    stored = case.instance.stored()
    for name, tensor in stored.items():
        require(
            name not in ("x_true", "y", "mask", "noise", "kernels", "picture"),
            f"{name} is the name of another tensor in the file",
        )
        finite = isinstance(tensor, Tensor) and tensor.isfinite().all()
        require(finite, f"stored() gives {name}, which is not a tensor of finite numbers")
    return ", ".join(stored)


CHECKS = (
    *PLUGIN_CHECKS,
    Check(
        "it says whether it is linear and masked, and has what follows from it", declares, gate=True
    ),
    Check(
        "measured_shape is the shape of A(x), and the dtype is kept", shapes_and_dtypes, gate=True
    ),
    Check("rows are independent", rows_are_independent),
    Check("A is linear where it says so", is_linear),
    Check("the adjoint passes the dot test", adjoint_is_transpose),
    Check("the spectrum is that of A^T A", spectrum_is_right),
    Check("masks are 0 or 1, and nothing is measured where they are 0", masks_are_right),
    Check("each measurement has a kernel of its own", kernels_are_right),
    Check("figures can show a measurement", picture_is_right),
    Check("the same random numbers give the same measurements", measurements_are_repeatable),
    Check("the gradient is that of finite differences", gradient_passes),
    Check("what is stored beside the measurements is finite", stored_is_right),
)
CASE = OperatorCase
