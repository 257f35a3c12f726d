"""Meter the prior's network and the problem's operator, from outside.

A view takes the place of the prior or the problem. It has the attributes of the interface and no others, and passes
each call to a `tap`, which makes the call and may count it. Values, dtypes and the autograd graph stay as they are, and
nothing waits for the device. Under torch.func the batch of `vmap` counts in each call and each gradient, and each
direction of `jvp` counts as a row backward. What cannot be counted raises an error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.core.specs import Budget
from bench.core.types import Cap, Operator, Prior, Problem, Random, Shape, Spectrum
from bench.runtime.memory import allocated
from bench.runtime.transforms import batches, layers, num_tangents, repeats

Tap = Callable[..., Any]  # tap(kind, call, *inputs) makes the call and returns its result

PRIOR_VALUES = ("caps", "shape", "latent_shape", "sigma_range", "decode_nfe", "sample_nfe")
PRIOR_CALLS = ("sample", "denoise", "decode", "log_prob")
PROBLEM_VALUES = ("caps", "sigma_y")
PROBLEM_CALLS = ("operator", "log_likelihood", "residual", "simulate", "sample_posterior")
EVERYTHING = ~Cap.NONE
UNITS = {"nfe": "network rows per sample", "seconds": "s", "mib": "MiB"}


class BudgetExceeded(Exception):
    """A method needs more than its budget; its cells are n/a with the budget as the reason, not failures."""


@dataclass(frozen=True)
class Limits:
    """The limits of a run from its beginning, checked before each call of the network.

    rows: through the prior's network, forward and backward. bytes: beyond `allocated_before`. text: all in words.
    """

    rows: float = math.inf
    seconds: float = math.inf
    bytes: float = math.inf
    text: str = ""
    begin: float = field(default_factory=time.perf_counter)
    allocated_before: int = field(default_factory=allocated)

    def check(self, rows: float) -> None:
        """Raise BudgetExceeded where `rows` in all, or the seconds or bytes so far, are beyond the limits."""
        is_late = time.perf_counter() - self.begin > self.seconds
        if (
            rows > self.rows
            or is_late
            or (self.bytes < math.inf and allocated() - self.allocated_before > self.bytes)
        ):
            raise BudgetExceeded(over_budget(self))


def over_budget(limits: Limits) -> str:
    """Return the reason of a run that needs more than its budget."""
    return f"needs more than the budget of {limits.text}"


def limits_of(budget: Budget | None, num_samples: int) -> Limits:
    """Return the limits of a run that begins now and draws `num_samples` samples in all; None has no limit."""
    given = {} if budget is None else {name: getattr(budget, name) for name in UNITS}
    given = {name: value for name, value in given.items() if value is not None}
    text = " or ".join(f"{value:g} {UNITS[name]}" for name, value in given.items())
    rows, seconds, mib = (given.get(name, math.inf) for name in UNITS)
    return Limits(rows * num_samples, seconds, mib * 2**20, text)


@dataclass
class Meter:
    """Rows so far: forward through the calls that were made, and backward through their derivatives.

    A vector-Jacobian product counts the rows of its call, and twice that where its graph is kept for a second pass. For
    a run that was killed both are NaN. limits: checked before each call and each derivative.
    """

    forward: float = 0
    backward: float = 0
    limits: Limits | None = None

    def nfe(self, num_samples: int) -> float:
        """Return rows forward per posterior sample, `num_samples` of them in total (measurements x samples)."""
        return self.forward / num_samples

    def nfe_vjp(self, num_samples: int) -> float:
        """Return rows backward per posterior sample."""
        return self.backward / num_samples

    def check(self, rows: int) -> None:
        """Raise BudgetExceeded where `rows` more would exceed the limits."""
        if self.limits:
            self.limits.check(self.forward + self.backward + rows)

    def call(self, call: Callable[..., Any], inputs: tuple[Any, ...], rows: int) -> Any:
        """Make a call and count `rows` forward (more under `vmap`), and backward those of its derivatives."""
        known = batches(*inputs)
        rows *= math.prod(known.values())
        along = rows * num_tangents(*inputs)
        self.check(rows + along)
        output = call(*inputs)
        self.forward += rows
        self.backward += along
        on_backward(output, lambda v, keeps: self._backward(v, keeps, rows, known))
        return output

    def _backward(self, cotangent: Tensor, keeps: bool, rows: int, known: dict[int, int]) -> None:
        rows *= repeats(cotangent, known) * (2 if keeps else 1)
        self.check(rows)
        self.backward += rows


def counted(prior: Prior, limits: Limits | None = None) -> tuple[PriorView, Meter]:
    """Return the prior with a meter at its network.

    `denoise` and `log_prob` cost one row per row, `decode` costs `decode_nfe`, a draw of `sample` costs `sample_nfe`.
    Instead of a call or a derivative beyond the limits, BudgetExceeded is raised.
    """
    meter = Meter(limits=limits)

    def tap(kind: str, call: Callable[..., Tensor], *inputs: Any) -> Tensor:
        return meter.call(call, inputs, _network_rows(prior, kind, inputs))

    return PriorView(prior, tap), meter


def _network_rows(prior: Prior, kind: str, inputs: tuple[Any, ...]) -> int:
    """Return how many rows a call of the prior sends through its network."""
    if kind == "sample":
        num_samples, rng = inputs
        return len(rng) * num_samples * prior.sample_nfe
    return len(inputs[0]) * (prior.decode_nfe if kind == "decode" else 1)


def counted_problem(problem: Problem) -> tuple[ProblemView, Meter]:
    """Return the problem with a meter at its operator.

    Likelihood, residual, simulation, A and its adjoint cost one row per row; a spectrum costs none.
    """
    meter = Meter()

    def tap(kind: str, call: Callable[..., Any], *inputs: Any) -> Any:
        if kind == "spectrum":
            return call(*inputs)
        return meter.call(call, inputs, 0 if kind == "sample_posterior" else len(inputs[0]))

    return ProblemView(problem, tap), meter


def on_backward(output: Tensor, callback: Callable[[Tensor, bool], None]) -> None:
    """Have `callback` called whenever a backward pass goes through the call that made `output`.

    Its arguments are the cotangent, and whether a graph of the pass is kept for further derivatives. The hook is on the
    graph's node and not on the tensor, since a gradient with respect to `output` itself does not enter the call.
    """
    beneath = layers(output)
    for place, layer in enumerate(beneath):
        if layer.grad_fn is not None:
            around = beneath[place + 1 :]
            _hook(layer, any(outer.requires_grad for outer in around), not around, callback)


def _hook(
    layer: Tensor, is_kept: bool, is_plain: bool, callback: Callable[[Tensor, bool], None]
) -> None:
    """Call back from one layer; the graph is kept where a layer around it tracks the pass, or grad mode is on."""
    number = layer.output_nr
    layer.grad_fn.register_prehook(  # pyright: ignore[reportOptionalMemberAccess]
        lambda cotangents: callback(
            cotangents[number], is_kept or (is_plain and torch.is_grad_enabled())
        )
    )


def bare(kind: str, call: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Make the call and count nothing: the tap of a view without a meter."""
    return call(*inputs)


class PriorView:
    """The part of a prior that a method may use. `caps` has of its capabilities those in `shown`."""

    shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    sigma_range: tuple[float, float]
    decode_nfe: int
    sample_nfe: int

    def __init__(self, prior: Prior, tap: Tap, shown: Cap = EVERYTHING) -> None:
        self._prior, self._tap = prior, tap
        self.caps = prior.caps & shown

    def __getattr__(self, name: str) -> Any:
        if name in PRIOR_VALUES:
            return getattr(self._prior, name)
        raise _not_in_interface("prior", name, PRIOR_VALUES + PRIOR_CALLS)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        return self._tap("sample", self._prior.sample, num_samples, rng)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        _refuse_shapes(x_t, sigma, self._prior.shape)
        return self._tap("denoise", self._prior.denoise, x_t, sigma)

    def decode(self, z: Tensor) -> Tensor:
        return self._tap("decode", self._prior.decode, z)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._tap("log_prob", self._prior.log_prob, x)


class ProblemView:
    """The part of a problem that a method may use. `caps` has of its capabilities those in `shown`."""

    sigma_y: float
    operator: Operator

    def __init__(self, problem: Problem, tap: Tap, shown: Cap = EVERYTHING) -> None:
        self._problem, self._tap = problem, tap
        self.caps = problem.caps & shown

    def __getattr__(self, name: str) -> Any:
        if name == "operator":
            return OperatorView(self._problem.operator, self._tap)
        if name in PROBLEM_VALUES:
            return getattr(self._problem, name)
        raise _not_in_interface("problem", name, PROBLEM_VALUES + PROBLEM_CALLS)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return self._tap("log_likelihood", self._problem.log_likelihood, x, y)

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        return self._tap("residual", self._problem.residual, x, y)

    def simulate(self, x: Tensor, rng: Random) -> Tensor:
        return self._tap("simulate", self._problem.simulate, x, rng)

    def sample_posterior(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        return self._tap("sample_posterior", self._problem.sample_posterior, y, num_samples, rng)


class OperatorView:
    """The part of a measurement operator that a method may use."""

    linear: ClassVar[bool]

    def __init__(self, operator: Any, tap: Tap) -> None:
        self._operator, self._tap = operator, tap

    def __getattr__(self, name: str) -> Any:
        if name == "linear":
            return self._operator.linear
        raise _not_in_interface("operator", name, ("linear", "adjoint", "spectrum", "a call"))

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._tap("operator", self._operator, x, y)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return self._tap("adjoint", self._operator.adjoint, v, y)

    def spectrum(self, y: Tensor, x_shape: Shape) -> Spectrum:
        return self._tap("spectrum", self._operator.spectrum, y, x_shape)


def _refuse_shapes(x_t: Tensor, sigma: Tensor, shape: Shape) -> None:
    """Raise ValueError, one line, unless the inputs of `denoise` have the shapes that every prior takes."""
    if tuple(x_t.shape[1:]) != tuple(shape):
        raise ValueError(
            f"prior.denoise: x_t has shape {tuple(x_t.shape)}; expected (n, *x), *x = {tuple(shape)}"
        )
    if torch.is_tensor(sigma) and tuple(sigma.shape) not in ((), (len(x_t),)):
        raise ValueError(
            f"prior.denoise: sigma has shape {tuple(sigma.shape)}; expected () or (n,) = ({len(x_t)},)"
        )


def _not_in_interface(owner: str, name: str, usable: tuple[str, ...]) -> AttributeError:
    return AttributeError(
        f"{owner}.{name} is not part of the interface; a method may use {', '.join(usable)}"
    )
