"""Shape and random numbers that the tests of learned priors share."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.rng import Rng

SHAPE = (1, 8, 8)


def normal(*shape: int, seed: object = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return Rng(("test", seed), (0,), dtype=dtype).randn(shape)[0]
