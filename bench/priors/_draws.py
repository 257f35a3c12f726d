"""Draws of a prior in place of a data set's images."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Prior

DRAWS_AT_ONCE = 1000
NUM_HELD_OUT = 1000  # draws each for validation and test, but at most as many as for training


def draws_of(prior: Prior, num_train: int) -> dict[str, Tensor]:
    """Return independent draws of a prior, (N, *x) float32, as the parts train, validation and test."""
    num_held_out = min(num_train, NUM_HELD_OUT)
    counts = {"train": num_train, "validation": num_held_out, "test": num_held_out}
    return {part: drawn(prior, part, num) for part, num in counts.items()}


def drawn(prior: Prior, part: str, num: int) -> Tensor:
    """Return independent draws of a prior for one part, (num, *x) float32."""
    x = torch.empty(num, *prior.shape)
    for number, rows in enumerate(x.split(DRAWS_AT_ONCE)):
        rows.copy_(prior.sample(len(rows), Rng(("fit", "draws", part), (number,)))[0])
    return x
