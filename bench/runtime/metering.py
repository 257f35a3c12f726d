"""Metering of the prior's network and of the problem's operator, from outside.

A view stands in for the prior or the problem: it shows what the interface names and nothing else, and hands each call
to a `tap`, which makes the call and may look at it. Values, dtypes and the autograd graph stay as they are, and nothing
waits for the device. A call made inside `torch.func.vmap` counts the rows that it sees there.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bench.core import specs
from bench.core.types import Cap, Operator, Prior, Problem, Random

Tap = Callable[..., Tensor]  # tap(kind, call, *inputs) makes the call and returns what it gives

PRIOR_VALUES = ("caps", "shape", "latent_shape", "sigma_range", "decode_nfe", "sample_nfe")
PROBLEM_VALUES = ("caps", "sigma_y")
EVERYTHING = ~Cap.NONE


class BudgetExceeded(Exception):
    """A method asked for more than it was given; that is its result."""


@dataclass(frozen=True)
class Budget:
    """What a run may spend: rows through the prior's network, forward and backward, and since it began seconds and
    bytes, which are looked at before each call of the network."""

    rows: float = math.inf
    seconds: float = math.inf
    bytes: float = math.inf
    words: str = ""
    begin: float = field(default_factory=time.perf_counter)
    held: int = field(default_factory=lambda: held())

    def check(self, rows: int) -> None:
        late = time.perf_counter() - self.begin > self.seconds
        if rows > self.rows or late or (self.bytes < math.inf and held() - self.held > self.bytes):
            raise BudgetExceeded(f"needs more than the budget of {self.words}")


def held() -> int:
    """Bytes that this process holds now: allocated on a GPU where it uses one, else resident."""
    if torch.cuda.is_initialized():
        return torch.cuda.memory_allocated()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: what it held at most
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def budget_of(allowed: specs.Budget | None, num_samples: int) -> Budget:
    """Return the budget of a run's spec: `nfe` per sample, `seconds` and `mib` for `num_samples` samples in all."""
    units = {"nfe": "network rows per sample", "seconds": "s", "mib": "MiB"}
    limits = {name: value for name in units if (value := getattr(allowed, name, None)) is not None}
    words = " or ".join(f"{value:g} {units[name]}" for name, value in limits.items())
    rows, seconds, mib = (limits.get(name, math.inf) for name in units)
    return Budget(rows * num_samples, seconds, mib * 2**20, words)


@dataclass
class Meter:
    """Rows so far: forward through the calls that were made, and backward through their vector-Jacobian products."""

    forward: int = 0
    backward: int = 0

    def nfe(self, num_samples: int) -> float:
        """Rows forward per posterior sample, `num_samples` of them in total (measurements x samples)."""
        return self.forward / num_samples

    def nfe_vjp(self, num_samples: int) -> float:
        """Rows backward per posterior sample."""
        return self.backward / num_samples

    def read(self, output: Tensor, rows: int) -> Tensor:
        """Count `rows` forward now, and backward each time that a backward pass goes through `output`."""
        self.forward += rows
        on_backward(output, lambda _: self._read_backward(rows))
        return output

    def _read_backward(self, rows: int) -> None:
        self.backward += rows


def counted(prior: Prior, budget: Budget | None = None) -> tuple[PriorView, Meter]:
    """The prior with a meter at its network: `denoise` and `log_prob` cost one row per row, `decode` `decode_nfe`.

    A draw of `sample` costs `sample_nfe`. A call beyond the budget is not made: BudgetExceeded.
    """
    meter = Meter()

    def rows_of(kind: str, inputs: tuple) -> int:
        if kind == "sample":  # num_samples for each stream of the random numbers
            return len(inputs[1]) * inputs[0] * prior.sample_nfe
        return len(inputs[0]) * (prior.decode_nfe if kind == "decode" else 1)

    def tap(kind: str, call: Callable[..., Tensor], *inputs: object) -> Tensor:
        rows = rows_of(kind, inputs)
        if budget:
            budget.check(meter.forward + meter.backward + rows)
        return meter.read(call(*inputs), rows)

    return PriorView(prior, tap), meter


def counted_problem(problem: Problem) -> tuple[ProblemView, Meter]:
    """The problem with a meter at its operator: one row per row of likelihood, residual, simulation, A or adjoint."""
    meter = Meter()

    def tap(kind: str, call: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        return meter.read(call(*inputs), 0 if kind == "sample_posterior" else len(inputs[0]))

    return ProblemView(problem, tap), meter


def on_backward(output: Tensor, callback: Callable[[Tensor], None]) -> None:
    """Give `callback` the cotangent of `output` whenever a backward pass goes through the call that made it.

    The hook sits on the graph's node, not on the tensor: a gradient by `output` itself does not enter the call.
    """
    if output.grad_fn is None:
        return
    number = output.output_nr
    output.grad_fn.register_prehook(lambda cotangents: callback(cotangents[number]))


def bare(kind: str, call: Callable[..., Tensor], *inputs: object) -> Tensor:
    """The tap that only makes the call."""
    return call(*inputs)


class PriorView:
    """What a method sees of a prior; of its capabilities, those in `shown`."""

    def __init__(self, prior: Prior, tap: Tap, shown: Cap = EVERYTHING) -> None:
        self._prior, self._tap = prior, tap
        self.caps = prior.caps & shown

    def __getattr__(self, name: str) -> object:
        return _value(self, "prior", name, PRIOR_VALUES, ("sample", "denoise", "decode", "log_prob"))

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        return self._tap("sample", self._prior.sample, num_samples, rng)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        return self._tap("denoise", self._prior.denoise, x_t, sigma)

    def decode(self, z: Tensor) -> Tensor:
        return self._tap("decode", self._prior.decode, z)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._tap("log_prob", self._prior.log_prob, x)


class ProblemView:
    """What a method sees of a problem; of its capabilities, those in `shown`."""

    def __init__(self, problem: Problem, tap: Tap, shown: Cap = EVERYTHING) -> None:
        self._problem, self._tap = problem, tap
        self.caps = problem.caps & shown

    def __getattr__(self, name: str) -> object:
        calls = ("operator", "log_likelihood", "residual", "simulate", "sample_posterior")
        return _value(self, "problem", name, PROBLEM_VALUES, calls)

    @property
    def operator(self) -> OperatorView:
        return OperatorView(self._problem.operator, self._tap)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return self._tap("log_likelihood", self._problem.log_likelihood, x, y)

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        return self._tap("residual", self._problem.residual, x, y)

    def simulate(self, x: Tensor, rng: Random) -> Tensor:
        return self._tap("simulate", self._problem.simulate, x, rng)

    def sample_posterior(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        return self._tap("sample_posterior", self._problem.sample_posterior, y, num_samples, rng)


class OperatorView:
    """What a method sees of a measurement operator."""

    def __init__(self, operator: Operator, tap: Tap) -> None:
        self._operator, self._tap = operator, tap

    @property
    def linear(self) -> bool:
        return self._operator.linear

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._tap("operator", self._operator, x, y)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return self._tap("adjoint", self._operator.adjoint, v, y)


def _value(
    view: PriorView | ProblemView, label: str, name: str, values: tuple[str, ...], calls: tuple[str, ...]
) -> object:
    if name in values:
        return getattr(vars(view)[f"_{label}"], name)
    raise AttributeError(f"{label}.{name} is not part of the interface; a method may use {', '.join(values + calls)}")
