"""What a sampler costs beside its network: record the network calls of a run, and make them again bare."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Method, Prior, Problem
from bench.runtime.metering import PriorView, on_backward


@dataclass
class Call:
    """One call of a prior: its inputs, whether it built a graph, and the cotangents that came back through it."""

    kind: str
    inputs: tuple[Tensor, ...]
    differentiable: bool
    cotangents: list[Tensor] = field(default_factory=list)


def recorded(prior: Prior) -> tuple[PriorView, list[Call]]:
    """The prior, and the list to which each of its network calls is added."""
    calls: list[Call] = []

    def tap(kind: str, call: Callable[..., Tensor], *inputs: object) -> Tensor:
        if kind == "sample":  # of the prior, on random streams that a replay would find further on
            return call(*inputs)
        made = Call(kind, tuple(torch.as_tensor(i).detach().clone() for i in inputs), False)
        calls.append(made)
        output = call(*inputs)
        made.differentiable = output.requires_grad
        on_backward(output, lambda cotangent: made.cotangents.append(cotangent.detach().clone()))
        return output

    return PriorView(prior, tap), calls


def replay(prior: Prior, calls: Sequence[Call]) -> None:
    """Make recorded calls again, forward and backward, on the same values and with nothing in between."""
    for call in calls:
        x, *rest = call.inputs
        x = x.detach().requires_grad_(call.differentiable)
        with torch.set_grad_enabled(call.differentiable):
            output = getattr(prior, call.kind)(x, *rest)
        for i, cotangent in enumerate(call.cotangents, start=1):
            torch.autograd.grad(output, x, cotangent, retain_graph=i < len(call.cotangents))


@dataclass(frozen=True)
class Overhead:
    """Seconds of a method and of its bare network calls, one entry per repeat."""

    method: list[float]
    network: list[float]
    num_calls: int
    num_backward: int

    @property
    def ratio(self) -> float:
        """Median seconds of the method over median seconds of its network calls."""
        return statistics.median(self.method) / statistics.median(self.network)

    @property
    def ratios(self) -> list[float]:
        """The ratio of each repeat, whose spread tells how quiet the machine was."""
        return [method / network for method, network in zip(self.method, self.network, strict=True)]


def overhead(method: Method, prior: Prior, problem: Problem, y: Tensor, num_samples: int, repeats: int = 7) -> Overhead:
    """Time the method and its bare network calls in turns, after one untimed run of each."""
    watched, calls = recorded(prior)
    run(method, watched, problem, y, num_samples)
    replay(prior, calls)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        seconds[0].append(timed(lambda: run(method, prior, problem, y, num_samples), y.device))
        seconds[1].append(timed(lambda: replay(prior, calls), y.device))
    return Overhead(*seconds, len(calls), sum(len(call.cotangents) for call in calls))


@dataclass(frozen=True)
class Batching:
    """One call for all measurements and samples against one call per row."""

    max_difference: float
    batched: float  # seconds
    one_by_one: float  # seconds
    num_rows: int

    @property
    def ratio(self) -> float:
        return self.one_by_one / self.batched


def batching(method: Method, prior: Prior, problem: Problem, y: Tensor, num_samples: int) -> Batching:
    """Draw (m, s) samples in one call and again one at a time, from the same random streams."""
    together, alone = [], torch.empty(len(y), num_samples, *prior.shape, dtype=y.dtype, device=y.device)
    run(method, prior, problem, y[:1], 1)
    batched = timed(lambda: together.append(run(method, prior, problem, y, num_samples)), y.device)

    def one_by_one() -> None:
        for i in range(len(y)):
            for j in range(num_samples):
                rng = Rng(("overhead",), [i], range(j, j + 1), y.dtype, y.device.type)
                alone[i, j] = method.sample(prior, problem, y[i : i + 1], 1, rng=rng)[0, 0]

    seconds = timed(one_by_one, y.device)
    return Batching((together[0] - alone).abs().max().item(), batched, seconds, len(y) * num_samples)


def run(method: Method, prior: Prior, problem: Problem, y: Tensor, num_samples: int) -> Tensor:
    rng = Rng(("overhead",), range(len(y)), range(num_samples), y.dtype, y.device.type)
    return method.sample(prior, problem, y, num_samples, rng=rng)


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of `work`: on a CPU those of this process, which neighbours do not lengthen; elsewhere of the clock."""
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.accelerator.synchronize(device)
    start = time.perf_counter()
    work()
    torch.accelerator.synchronize(device)
    return time.perf_counter() - start
