"""Find out what torch.func does to a call: its rows under `vmap`, and whether a derivative is taken along with it.

A tensor inside `vmap`, `grad`, `vjp` or `jvp` is wrapped once for each of them, and has the shape that the function
sees. Beneath the wrappers is the tensor of all rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd import forward_ad

# torch has no public way to look beneath its wrappers
_functorch = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def layers(tensor: Tensor) -> list[Tensor]:
    """Return a tensor as each transform sees it, the innermost transform first and the plain tensor last."""
    found = [tensor]
    while _functorch.is_functorch_wrapped_tensor(found[-1]):
        found.append(_functorch.get_unwrapped(found[-1]))
    return found


def batches(*tensors: object) -> dict[int, int]:
    """Return the sizes of the batches of `vmap` that tensors are in, by its level; {} outside of it."""
    sizes = {}
    for tensor in tensors:
        for layer in layers(tensor) if isinstance(tensor, Tensor) else []:
            if _functorch.is_batchedtensor(layer):
                place = _functorch.maybe_get_bdim(layer)
                level = _functorch.maybe_get_level(layer)
                sizes[level] = _functorch.get_unwrapped(layer).shape[place]
    return sizes


def repeats(cotangent: Tensor, known: dict[int, int]) -> int:
    """Return how many gradients are taken at once: the size of the batches of a cotangent that are not `known`."""
    if _functorch.is_legacy_batchedtensor(cotangent):
        raise ValueError(
            "gradients with is_grads_batched cannot be counted; take them one by one, or use torch.func.vmap"
        )
    new = {level: size for level, size in batches(cotangent).items() if level not in known}
    return math.prod(new.values())


def num_tangents(*tensors: object) -> int:
    """Return how many directions the derivative of a call is taken along in forward mode; 0 where none is taken."""
    known, num, hidden = batches(*tensors), 0, _levels_of_jvp()[:-1]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            continue
        tangent = forward_ad.unpack_dual(tensor).tangent
        if tangent is not None:
            num = max(num, repeats(tangent, known))
        elif any(
            _functorch.maybe_get_level(layer) in hidden for layer in layers(tensor)[:-1] if hidden
        ):
            raise ValueError(
                "torch.func.jvp around another transform cannot be counted; put it inside, or use torch.func.vjp"
            )
    return num


def _levels_of_jvp() -> list[int]:
    """Return the levels of the transforms around this call that are `jvp`, and 0 for each other one."""
    stack = _functorch.get_interpreter_stack() or []
    of_jvp = _functorch.TransformType.Jvp
    return [around.level() if around.key() == of_jvp else 0 for around in stack]
