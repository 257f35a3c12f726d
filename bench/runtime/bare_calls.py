"""Record the network calls of a run, and make them again with nothing in between, to time the network alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

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
