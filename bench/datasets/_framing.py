"""Crop and resize an image to side x side pixels: in which order, and with which filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from bench.core.values import is_count, require

Crop = Literal["none", "centre", "celeba-128", "celeba-178"]
Resize = Literal["none", "box", "bilinear", "bicubic", "lanczos"]
Order = Literal["crop-then-resize", "resize-then-crop"]
CROPS = ("none", "centre", "celeba-128", "celeba-178")
FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
ORDERS = ("crop-then-resize", "resize-then-crop")
FACE = (25, 57, 153, 185)  # of an aligned CelebA image: 64 pixels around column 89, row 121


@dataclass(frozen=True)
class Framing:
    """The steps from an image of any size to side x side pixels.

    crop: `none`, the largest square in the centre, or those for CelebA: 128 pixels around the face, 178 in the centre.
    order: `resize-then-crop` brings the short side to `side` pixels and cuts out the centre, as torchvision's Resize
    and CenterCrop do; `crop-then-resize` brings the crop to side x side, even if it is not square.
    """

    side: int
    crop: Crop = "none"
    resize: Resize = "none"
    antialias: bool = True
    order: Order = "crop-then-resize"
    grey: bool = False

    def __post_init__(self) -> None:
        require(is_count(self.side), f"side must be a whole number of pixels, got {self.side!r}")
        for name, choices in (("crop", CROPS), ("resize", ("none", *FILTERS)), ("order", ORDERS)):
            value = getattr(self, name)
            require(value in choices, f"{name} must be one of {', '.join(choices)}, got {value!r}")
        require(
            self.antialias or self.resize in ("none", "bilinear", "bicubic"),
            f"antialias: false is for bilinear and bicubic, not for {self.resize}",
        )
        require(
            self.order == ORDERS[0] or (self.crop == "centre" and self.resize != "none"),
            f"order {self.order} needs crop: centre and a filter in resize",
        )

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Return the pixels (channels, side, side) uint8; raise ValueError, one line, for an image of another size."""
        require(
            not image.mode.startswith(("I", "F")),
            f"has mode {image.mode}, expected 8 bits per channel",
        )
        image = image.convert("L" if self.grey else "RGB")
        if self.order == "resize-then-crop":
            short = min(image.size)
            size = tuple(self.side * length // short for length in image.size)
            image = centre(self.resized(image, size), self.side)
        else:
            image = self.resized(self.cropped(image), (self.side, self.side))
        values = np.asarray(image)
        return np.ascontiguousarray(values[None] if self.grey else values.transpose(2, 0, 1))

    def cropped(self, image: Image.Image) -> Image.Image:
        """Return the cropped image; raise ValueError for a crop for CelebA on an image of another size."""
        if self.crop == "none":
            return image
        if self.crop == "centre":
            return centre(image, min(image.size))
        require(
            image.size == (178, 218),
            f"is {image.width} x {image.height} pixels, expected 178 x 218 as aligned CelebA images are",
        )
        return image.crop(FACE) if self.crop == "celeba-128" else centre(image, 178)

    def resized(self, image: Image.Image, size: tuple[int, ...]) -> Image.Image:
        """Return the image resized to `size` (width, height), by Pillow or, without antialiasing, by torch."""
        if image.size == size:
            return image
        require(
            self.resize != "none",
            f"is {image.width} x {image.height} pixels, expected {size[0]} x {size[1]}; or give crop and resize",
        )
        if self.antialias:
            return image.resize((size[0], size[1]), FILTERS[self.resize])
        x = torch.from_numpy(np.array(image)).float()
        x = x[None, None] if self.grey else x.permute(2, 0, 1)[None]
        x = functional.interpolate(x, size[::-1], mode=self.resize, align_corners=False)
        values = x[0].round().clamp(0, 255).byte().numpy()
        return Image.fromarray(values[0] if self.grey else values.transpose(1, 2, 0).copy())


def centre(image: Image.Image, side: int) -> Image.Image:
    """Return the square in the centre, rounded to pixels as torchvision's CenterCrop does."""
    left, top = (round((length - side) / 2) for length in image.size)
    return image.crop((left, top, left + side, top + side))
