"""`jpeg`: the image after JPEG compression."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_count, require

__all__ = ["Jpeg"]

CHROMA_420 = 2  # Pillow's number of the subsampling of colours by two along both sides


@dataclass(frozen=True)
class Jpeg:
    """A(x): the image after JPEG compression, by Pillow's encoder and decoder (libjpeg) with chroma 4:2:0.

    Values are clipped to [-1, 1] and rounded to 8 bits, half to even, before they are compressed; a decoded byte b is
    2 b / 255 - 1. Equal images give equal bytes. It is not differentiable, so that methods that need gradients are n/a.
    """

    # quality of libjpeg, 1 to 100; 75 or more is usual, and artefacts are obvious at 20 or less
    quality: int

    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    differentiable: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"quality": 20}  # for tests

    def __post_init__(self) -> None:
        good = is_count(self.quality) and self.quality <= 100
        require(good, f"jpeg: quality must be a whole number from 1 to 100, got {self.quality!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        levels = (127.5 * (x.detach().nan_to_num().clamp(-1, 1) + 1)).round().byte().cpu()
        decoded = np.empty(levels.shape, np.uint8)
        for image, result in zip(levels.numpy(), decoded, strict=True):
            result[...] = self._decoded(image)
        return torch.from_numpy(decoded).to(x) / 127.5 - 1

    def measured_shape(self, x_shape: Shape) -> Shape:
        channels = x_shape[0]
        require(channels in (1, 3), f"jpeg: expected images of 1 or 3 channels, got {channels}")
        return x_shape

    def _decoded(self, image: np.ndarray) -> np.ndarray:
        """Return an image of bytes (c, h, w) after compression."""
        pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality, subsampling=CHROMA_420)
        seen = np.asarray(Image.open(file))
        return seen[None] if seen.ndim == 2 else seen.transpose(2, 0, 1)
