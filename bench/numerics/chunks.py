"""Call functions on some rows at a time, so that memory does not grow with the number of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

NUMBERS = 2**18  # of the images in one call


def rows_of(shape: Sequence[int], numbers: int = NUMBERS) -> int:
    """Return how many images of a shape go into one call, at least one."""
    return max(1, numbers // math.prod(shape))


def in_chunks(
    call: Callable[..., tuple[Tensor, ...]], num_rows: int, *tensors: Tensor
) -> tuple[Tensor, ...]:
    """Return call(*tensors), computed on `num_rows` rows of each tensor at a time; rows must not interact.

    Where gradients are asked for, each chunk is computed a second time in the backward pass, so that the activations of
    one chunk only are in memory. A single chunk is computed once.
    """
    if len(tensors[0]) <= num_rows:
        return call(*tensors)
    chunks = zip(*(tensor.split(num_rows) for tensor in tensors), strict=True)
    if torch.is_grad_enabled():
        parts = [
            checkpoint(call, *chunk, use_reentrant=False, preserve_rng_state=False)
            for chunk in chunks
        ]
    else:
        parts = [call(*chunk) for chunk in chunks]
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


@torch.no_grad()
def value_and_gradient(
    call: Callable[..., tuple[Tensor, Tensor]], num_rows: int, *tensors: Tensor
) -> tuple[Tensor, Tensor]:
    """Return call(*tensors), a value and its gradient row by row, computed on `num_rows` rows at a time.

    The call makes the gradient itself, so that no graph outlives a chunk.
    """
    value, gradient = in_chunks(call, num_rows, *tensors)
    return value, gradient


def with_gradient(
    function: Callable[..., Tensor], num_rows: int, x: Tensor, *tensors: Tensor
) -> Tensor:
    """Return function(x, *tensors) (n,), differentiable in x (n, *x) alone, from `num_rows` rows at a time.

    Each chunk takes its backward pass right after its forward pass, so that no graph outlives it and nothing is
    computed twice. With at most `num_rows` rows, or where no gradient is asked for, the function is simply called.
    """
    if len(x) <= num_rows or not (torch.is_grad_enabled() and x.requires_grad):
        chunks = zip(*(tensor.split(num_rows) for tensor in (x, *tensors)), strict=True)
        return torch.cat([function(*chunk) for chunk in chunks])
    values = []
    for rows, *others in zip(*(tensor.split(num_rows) for tensor in (x, *tensors)), strict=True):
        inside = rows.detach().requires_grad_()
        value = function(inside, *others)
        (gradient,) = torch.autograd.grad(value.sum(), inside)
        # the first term is the value, the second is zero and has its gradient
        values.append(value.detach() + ((rows - rows.detach()) * gradient).flatten(1).sum(1))
    return torch.cat(values)
