"""Fixed random tensors for tests, and how far a mean is from its expectation."""

from __future__ import annotations

import math

import torch

DOUBLE = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def errors_off(values: torch.Tensor, expected: float) -> float:
    """How many standard errors the mean of independent values is from its expectation."""
    return ((values.mean() - expected) / (values.std() / math.sqrt(len(values)))).item()
