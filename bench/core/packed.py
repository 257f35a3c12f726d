"""Packed measurements: one tensor with all that is known of a measurement.

It holds the measured values, then the mask where the operator has one. Where each measurement has a kernel of its own,
the kernel is stored in the corner of one more channel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pack(values: Tensor, mask: Tensor | None = None, kernel: Tensor | None = None) -> Tensor:
    """Return values (n, c, h, w) alone, with masks as (n, 2c, h, w), or with kernels (n, k, k) as (n, c + 1, h, w)."""
    if kernel is not None:
        height, width = values.shape[-2:]
        size = kernel.shape[-1]
        channel = functional.pad(kernel[:, None], [0, width - size, 0, height - size])
        return torch.cat([values, channel], dim=1)
    return values if mask is None else torch.cat([values, mask], dim=1)


def mask_of(y: Tensor | None) -> Tensor:
    """Return the mask of packed masked measurements, 1 where measured, else 0; ValueError when y was not given."""
    if y is None:
        raise ValueError(
            "this operator has a mask per measurement: call operator(x, y) and operator.adjoint(v, y)"
        )
    return y.chunk(2, dim=1)[1]


def kernel_of(y: Tensor | None, size: int) -> Tensor:
    """Return the kernels (n, size, size) of packed measurements that have one each; ValueError when y was not given."""
    if y is None:
        raise ValueError(
            "this operator has a kernel per measurement: call operator(x, y) and operator.adjoint(v, y)"
        )
    return y[:, -1, :size, :size]
