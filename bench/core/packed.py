"""Packed measurements: one tensor with all that the instrument knows, values and where the operator has one a mask."""

from __future__ import annotations

import torch
from torch import Tensor


def pack(values: Tensor, mask: Tensor | None) -> Tensor:
    """Return values (n, c, h, w) alone, or with their mask as (n, 2c, h, w)."""
    return values if mask is None else torch.cat([values, mask], dim=1)


def mask_of(y: Tensor | None) -> Tensor:
    """Return the mask of packed masked measurements, 1 where measured, else 0; ValueError when y was not given."""
    if y is None:
        raise ValueError(
            "this operator has a mask per measurement: call operator(x, y) and operator.adjoint(v, y)"
        )
    return y.chunk(2, dim=1)[1]
