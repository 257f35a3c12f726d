"""`noise`: smoothed noise of any size, for suites that measure time only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.rng import Rng
from bench.core.values import is_count, require

__all__ = ["Noise"]

COUNTS = {"train": 2, "validation": 2, "test": 16}


@dataclass(frozen=True)
class Noise:
    """Images (3, side, side) of noise at a twentieth of the resolution, enlarged; COUNTS has their numbers."""

    side: int  # pixels along an image

    timing_only: ClassVar[bool] = True  # its images mean nothing
    tiny: ClassVar[Mapping[str, object]] = {"side": 16}  # for tests

    def __post_init__(self) -> None:
        require(
            is_count(self.side), f"noise: side must be a whole number of pixels, got {self.side!r}"
        )

    def load(self) -> dict[str, Tensor]:
        """Return `train`, `validation`, `test` (N, 3, side, side) in [-1, 1], and their ids (N,)."""
        coarse = max(2, self.side // 20)
        noise = Rng(("noise", self.side), range(sum(COUNTS.values())), dtype=torch.float32).randn(
            (3, coarse, coarse)
        )
        images = functional.interpolate(noise, (self.side, self.side), mode="bilinear").tanh()
        parts = zip(COUNTS, images.split(list(COUNTS.values())), strict=True)
        ids = zip(COUNTS, torch.arange(len(images)).split(list(COUNTS.values())), strict=True)
        return dict(parts) | {f"{name}_id": part for name, part in ids}
