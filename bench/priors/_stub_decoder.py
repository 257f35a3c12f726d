"""A stand-in for the file of a foreign decoder: a small network with random weights, whose images mean nothing."""

from __future__ import annotations

import math

import torch
from torch import nn

from bench.core.rng import Rng
from bench.numerics.nets import initialise

CHANNELS, COARSE = 8, 4


def load(weights: str, latent_shape: tuple[int, ...], shape: tuple[int, ...]) -> nn.Module:
    """Return a module that makes images (n, *shape) in [-1, 1] from noise (n, *latent_shape)."""
    with torch.random.fork_rng(devices=[]):
        module = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(latent_shape), CHANNELS * COARSE**2),
            nn.SiLU(),
            nn.Unflatten(1, (CHANNELS, COARSE, COARSE)),
            nn.Upsample(size=tuple(shape[1:]), mode="bilinear"),
            nn.Conv2d(CHANNELS, shape[0], 3, padding=1),
            nn.Tanh(),
        )
    initialise(module, Rng(("stub", "decoder"), (0,), dtype=torch.float32), gain=1.0)
    return module
