"""Names, random streams and images that the tests of rewards share."""

from __future__ import annotations

import torch

from bench.core.rng import Rng
from bench.problems.classifier import DEFINITIONS

NAME, SHAPE, K = "digits-cnn-v1", (1, 8, 8), 10
DEFINITION = DEFINITIONS[NAME]


def rng(*axes, m=1, dtype=torch.float64):
    return Rng(("test", "reward", *axes), range(m), dtype=dtype)


def images(n, *axes):
    return rng("images", *axes).randn((n, *SHAPE))[0]
