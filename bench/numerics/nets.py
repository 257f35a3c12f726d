"""Small networks that are initialised from a named random stream, never from torch's global generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench.core.types import Random

Module = TypeVar("Module", bound=nn.Module)


def initialise(module: Module, rng: Random, zero: Sequence[str] = (), gain: float = 1.0) -> Module:
    """Set every parameter, in place, from an rng of one stream; return the module.

    Weights of two or more dimensions are normal with standard deviation gain / sqrt(fan in), biases are zero, and other
    vectors (scales of normalisations) are one. zero: submodules or parameters that start at zero, e.g. an output layer.
    """
    if len(rng) != 1:
        raise ValueError(
            f"initialise: expected an rng of one stream, got {len(rng)}; take rng.only(i)"
        )
    unused = set(zero)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            matches = {prefix for prefix in zero if name == prefix or name.startswith(prefix + ".")}
            unused -= matches
            if matches or name.rpartition(".")[2].endswith("bias"):
                parameter.zero_()
            elif parameter.dim() < 2:
                parameter.fill_(1.0)
            else:
                parameter.copy_(
                    rng.randn(tuple(parameter.shape))[0] * gain / math.sqrt(parameter[0].numel())
                )
    if unused:
        raise ValueError(
            f"initialise: no parameter is called {', '.join(sorted(unused))}; named in `zero`"
        )
    return module


def time_features(t: Tensor, num_features: int) -> Tensor:
    """Return cosines of t in [0, 1] with 0 to num_features - 1 half turns, (n,) -> (n, num_features)."""
    return torch.cos(
        math.pi * t[:, None] * torch.arange(num_features, dtype=t.dtype, device=t.device)
    )


class MLP(nn.Module):
    """Residual multilayer perceptron of a vector and a time: (n, num_inputs), (n,) -> (n, num_outputs)."""

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        width: int = 128,
        num_layers: int = 2,
        num_features: int = 8,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.first = nn.Linear(num_inputs + num_features, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(num_layers - 1))
        self.out = nn.Linear(width, num_outputs)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = nn.functional.silu(self.first(torch.cat([x, time_features(t, self.num_features)], 1)))
        for layer in self.hidden:
            h = h + nn.functional.silu(layer(h))
        return self.out(h)


def flatten_state(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return parameters and buffers as flat, detached copies: `{prefix}.{name}`."""
    return {
        f"{prefix}.{name}": tensor.detach().clone() for name, tensor in module.state_dict().items()
    }


def load_state(module: Module, state: Mapping[str, Tensor], prefix: str) -> Module:
    """Return the module with the tensors that `flatten_state` gave; ValueError if names or shapes do not fit."""
    start = f"{prefix}."
    tensors = {
        name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)
    }
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        message = " ".join(str(error).split())
        raise ValueError(
            f"state {prefix!r} was not made with these settings: {message}; train again"
        ) from None
    return module
