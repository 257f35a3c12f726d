"""A stand-in for the file of a reward: the score of an image for each of four prompts, by random weights."""

from __future__ import annotations

import torch
from torch import nn

from bench.core.rng import Rng
from bench.numerics.nets import initialise

num_classes = 4


def load() -> nn.Module:
    """Return the module, images (n, 3, h, w) -> (n, 4)."""
    with torch.random.fork_rng(devices=[]):
        module = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, num_classes))
    initialise(module, Rng(("stub", "reward"), (0,), dtype=torch.float32), gain=1.0)
    return module
