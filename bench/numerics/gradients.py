"""Gradients of a log density, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ROWS = 1024  # at a time


def gradient(log_density: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient in x of log_density(x, y) -> (n,), row by row: (n, *x), (n, *y) -> (n, *x)."""
    gradients = []
    for rows, measured in zip(x.split(ROWS), y.split(ROWS), strict=True):
        rows = rows.detach().requires_grad_()
        with torch.enable_grad():  # a caller may have turned gradients off
            values = log_density(rows, measured)
            if tuple(values.shape) != (len(rows),):  # a sum over broadcast values would be wrong
                shape = tuple(values.shape)
                raise ValueError(f"a log density has shape {shape}, expected ({len(rows)},)")
            gradients += torch.autograd.grad(values.sum(), rows)
    return torch.cat(gradients)
