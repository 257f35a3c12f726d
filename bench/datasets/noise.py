"""Images of nothing, smoothed noise: for suites that measure time and look at no picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.rng import Rng

COUNTS = {"train": 2, "validation": 2, "test": 16}


def load(side: int) -> dict[str, Tensor]:
    """COUNTS images (3, side, side) in [-1, 1]: noise of a twentieth of the resolution, enlarged."""
    coarse = max(2, side // 20)
    noise = Rng(("noise", side), range(sum(COUNTS.values())), dtype=torch.float32).randn((3, coarse, coarse))
    images = functional.interpolate(noise, (side, side), mode="bilinear").tanh()
    parts = images.split(list(COUNTS.values()))
    ids = torch.arange(len(images)).split(list(COUNTS.values()))
    return dict(zip(COUNTS, parts, strict=True)) | {f"{name}_id": part for name, part in zip(COUNTS, ids, strict=True)}
