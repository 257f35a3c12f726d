"""Refuse tensors of another dtype than a closed-form prior's, in words and not by an error of torch's."""

from __future__ import annotations

from torch import Tensor


def refuse_other_dtype(call: str, x: Tensor, own: Tensor) -> None:
    """Raise ValueError, one line, unless a tensor given to prior.<call> has the dtype of the prior's own tensors.

    Compares two attributes: nothing waits for a device, and a call costs a tenth of a microsecond.
    """
    if x.dtype != own.dtype:
        raise ValueError(
            f"prior.{call}: got a tensor of {x.dtype}, expected {own.dtype}, the prior's dtype; pass x.to({own.dtype})"
        )
