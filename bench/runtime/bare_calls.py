"""Record the network calls of a run, and make them again with nothing in between, to time the network alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from bench.core.types import Prior
from bench.runtime.metering import PriorView, on_backward


@dataclass
class Call:
    """One call of a prior: its inputs, whether it built a graph, and the cotangents that came back through it."""

    kind: str
    inputs: tuple[Tensor, ...]
    differentiable: bool
    cotangents: list[Tensor] = field(default_factory=list)


def recorded(prior: Prior) -> tuple[PriorView, list[Call]]:
    """Return the prior, and the list to which each of its network calls is added.

    Calls of `sample` are left out: they use random streams, which have advanced by the time of a replay.
    """
    calls: list[Call] = []

    def tap(kind: str, call: Callable[..., Tensor], *inputs: Any) -> Tensor:
        if kind == "sample":
            return call(*inputs)
        made = Call(kind, tuple(torch.as_tensor(value).detach().clone() for value in inputs), False)
        calls.append(made)
        output = call(*inputs)
        made.differentiable = output.requires_grad
        on_backward(output, lambda cotangent, _: made.cotangents.append(cotangent.detach().clone()))
        return output

    return PriorView(prior, tap), calls


def replay(prior: Prior, calls: Sequence[Call]) -> None:
    """Make recorded calls again, forward and backward, on the same values and with nothing in between."""
    for call in calls:
        x, *others = call.inputs
        x = x.detach().requires_grad_(call.differentiable)
        with torch.set_grad_enabled(call.differentiable):
            output = getattr(prior, call.kind)(x, *others)
        for i, cotangent in enumerate(call.cotangents, start=1):
            torch.autograd.grad(output, x, cotangent, retain_graph=i < len(call.cotangents))


@dataclass(frozen=True)
class OwnCall:
    """A call of a network that is not the prior's: its inputs, and whether gradients were on."""

    network: nn.Module
    inputs: tuple[Any, ...]
    differentiable: bool


@contextlib.contextmanager
def own_calls(prior: Prior) -> Iterator[tuple[PriorView, list[OwnCall]]]:
    """Record the calls of networks that are not the prior's: yield the prior to use meanwhile, and their list.

    A network is a module that no other one calls, and its inputs are positional. Derivatives are not recorded.
    """
    calls: list[OwnCall] = []
    depth = 0  # of the call within others; one within a call of the prior is the prior's

    def enter(network: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal depth
        if not depth:
            values = tuple(x.detach().clone() if isinstance(x, Tensor) else x for x in inputs)
            calls.append(OwnCall(network, values, torch.is_grad_enabled()))
        depth += 1

    def leave(*_: object) -> None:
        nonlocal depth
        depth -= 1

    def tap(_: str, call: Callable[..., Tensor], *inputs: Any) -> Tensor:
        nonlocal depth
        depth += 1
        try:
            return call(*inputs)
        finally:
            depth -= 1

    hooks = register_module_forward_pre_hook(enter), register_module_forward_hook(leave)
    try:
        yield PriorView(prior, tap), calls
    finally:
        for hook in hooks:
            hook.remove()


def replay_own(calls: Sequence[OwnCall]) -> None:
    """Make recorded calls of a method's own networks again, on the same values and with nothing in between."""
    for call in calls:
        with torch.set_grad_enabled(call.differentiable):
            call.network(*call.inputs)
