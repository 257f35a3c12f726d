"""`photos`: crops of seven colour photographs that ship inside scikit-image and scikit-learn, at four scales.

Each photograph is first cut into three regions, one for each split, and every region is resized separately, so that no
pixel of a photograph reaches crops of two splits, not even through the filter of the resizing. The licences of the
photographs are in docs/data-sets.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.core.rng import stream
from bench.core.values import is_count, require
from bench.datasets._blocks import PARTS, joined

__all__ = ["Photos"]

SIDES = (32, 64)
SHORT_SIDES = (2.5, 3, 4, 6)  # of the photographs, in sides of a crop
ROWS_AT_ONCE = 2000
PIP = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
Part = Literal["train", "validation", "test"]


class Photograph(NamedTuple):
    """A file in an installed package, the sha256 of its RGB pixels, and the places of its held-out regions."""

    package: str
    file: str
    sha256: str
    held_out: Literal["left", "right"]
    test: Literal["top", "bottom"]  # half of the held-out strip; the other half is for validation


PHOTOGRAPHS = (
    Photograph(
        "skimage",
        "data/astronaut.png",
        "a8c429c18afa7b0fd5673e598d73a21225d94c864a71bbb3885126fdecb41071",
        "right",
        "top",
    ),
    Photograph(
        "skimage",
        "data/chelsea.png",
        "416b729128bfb2c3d1eb69bf9b1734a796293abc17939267b2dc94f8a5784031",
        "right",
        "top",
    ),
    Photograph(
        "skimage",
        "data/coffee.png",
        "0ce2b51640b9c95f19617f03eabf40c3f0368589cc1ee1190b70966165ac184f",
        "left",
        "bottom",
    ),
    Photograph(
        "skimage",
        "data/rocket.jpg",
        "3d4435cc745752b7f9724df88c6e18817de3ce7e3d2d71c55f85f7831e68f197",
        "right",
        "bottom",
    ),
    Photograph(
        "skimage",
        "data/motorcycle_left.png",
        "ca829467c1d4f427da9c4862ba43829da6ac90afe1f75735e95dba9e3fd9620b",
        "right",
        "bottom",
    ),
    Photograph(
        "sklearn",
        "datasets/images/china.jpg",
        "e701459344fd69797154c91add3bb5d70e5ed1a61d8bed889bab3a796104698d",
        "left",
        "top",
    ),
    Photograph(
        "sklearn",
        "datasets/images/flower.jpg",
        "3202904ed246795bf616c66d7859cd7c6080eff736c6e38dc5cc62779742033f",
        "left",
        "top",
    ),
)


@dataclass(frozen=True)
class Photos:
    """Crops (3, side, side) in [-1, 1] of photographs scaled to short sides of 2.5, 3, 4 and 6 crops.

    Uniform noise u fills the steps between the 256 values v, so that a density exists: x = 2 (v + u) / 256 - 1. A label
    is the photograph's number. An id is 1000000 (4 photograph + scale) + 1000 row + column, with row and column of the
    crop's corner in the photograph's own pixels.
    """

    side: int = 32  # pixels along a crop, 32 or 64
    num_train: int = 20_000  # training crops
    num_validation: int = 1000  # crops for validation, from separate regions
    num_test: int = 1000  # crops for testing, from separate regions

    tiny: ClassVar[Mapping[str, object]] = {"num_train": 99, "num_validation": 28, "num_test": 56}

    def __post_init__(self) -> None:
        require(self.side in SIDES, f"photos: side must be 32 or 64, got {self.side!r}")
        for part in PARTS:
            num = getattr(self, f"num_{part}")
            require(is_count(num), f"photos: num_{part} must be a count, got {num!r}")

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows."""
        views = list(views_of(self.side))
        for part in PARTS:
            num = getattr(self, f"num_{part}")
            of_part = [view for view in views if view.part == part]
            rows = choose(of_part, num)
            require(len(rows) == num, f"photos: num_{part} is {num}, there are {len(rows)} crops")
            for start in range(0, num, ROWS_AT_ONCE):
                crops = [
                    of_part[view].crop(place) for view, place in rows[start : start + ROWS_AT_ONCE]
                ]
                x, ids, labels = zip(*crops, strict=True)
                yield {
                    part: torch.from_numpy(np.stack(x)),
                    f"{part}_id": torch.tensor(ids),
                    f"{part}_label": torch.tensor(labels),
                }

    def load(self) -> dict[str, Tensor]:
        """Return the crops of each split, ids and labels, mixed so that any first crops are of all photographs."""
        return joined(self.blocks({}))


@dataclass(frozen=True)
class View:
    """One region of one photograph at one scale: x (3, height, width) in [-1, 1]."""

    photograph: int
    scale: int
    part: Part
    x: np.ndarray
    corner: tuple[int, int]  # row and column of the region in the photograph
    step: float  # pixels of the photograph per pixel of x
    side: int

    @property
    def places(self) -> tuple[int, int]:
        """Return the numbers of crops down and across."""
        return self.x.shape[1] - self.side + 1, self.x.shape[2] - self.side + 1

    def crop(self, number: int) -> tuple[np.ndarray, int, int]:
        """Return a crop, its id and its label; `number` counts places row by row."""
        row, column = divmod(int(number), self.places[1])
        top, left = (
            start + int(place * self.step)
            for start, place in zip(self.corner, (row, column), strict=True)
        )
        kind = len(SHORT_SIDES) * self.photograph + self.scale
        x = self.x[:, row : row + self.side, column : column + self.side]
        return x, 1_000_000 * kind + 1000 * top + left, self.photograph


def choose(views: list[View], num: int) -> np.ndarray:
    """Return view and number of `num` crops (num, 2): one of every view in turn, each view in random order.

    Successive crops are of different photographs; the next round over the photographs has other scales.
    """
    keys, rows = [], []
    for number, view in enumerate(views):
        name = ("photos", view.side, view.part, view.photograph, view.scale)
        order = stream(*name).permutation(math.prod(view.places))[:num]
        turn = (view.scale - view.photograph) % len(SHORT_SIDES)
        same = np.ones(len(order), int)
        keys.append(np.stack([view.photograph * same, turn * same, np.arange(len(order))]))
        rows.append(np.stack([number * same, order], 1))
    return np.concatenate(rows)[np.lexsort(np.concatenate(keys, 1))][:num]


def views_of(side: int) -> Iterator[View]:
    """Yield the regions of every photograph at every scale that does not enlarge it."""
    for number, photograph in enumerate(PHOTOGRAPHS):
        image = Image.fromarray(pixels(photograph))
        for scale, short_side in enumerate(SHORT_SIDES):
            factor = short_side * side / image.height
            if factor > 1:
                continue
            for part, (left, top, right, bottom) in regions(photograph, *image.size).items():
                size = int((right - left) * factor), int((bottom - top) * factor)
                small = image.crop((left, top, right, bottom)).resize(
                    size, Image.Resampling.BICUBIC, (0, 0, size[0] / factor, size[1] / factor)
                )
                noise = stream("dequantise", "photos", side, number, scale, part)
                values = np.asarray(small).transpose(2, 0, 1) + noise.random((3, *size[::-1]))
                x = (values / 128 - 1).astype(np.float32)
                yield View(number, scale, part, x, (top, left), 1 / factor, side)


def regions(
    photograph: Photograph, width: int, height: int
) -> dict[Part, tuple[int, int, int, int]]:
    """Return left, top, right, bottom of each split's region.

    The held-out regions are two squares half as high as the photograph, one above the other at its left or right end.
    """
    half = height // 2
    on_left = photograph.held_out == "left"
    left, right = (0, half) if on_left else (width - half, width)
    top, bottom = (left, 0, right, half), (left, half, right, height)
    test, validation = (top, bottom) if photograph.test == "top" else (bottom, top)
    train = (half, 0, width, height) if on_left else (0, 0, width - half, height)
    return {"train": train, "validation": validation, "test": test}


def pixels(photograph: Photograph) -> np.ndarray:
    """Return a photograph (height, width, 3) uint8; raise ValueError, one line, if it is missing or differs."""
    package = find_spec(photograph.package)
    folders = package.submodule_search_locations if package else None
    what = f"photos: {photograph.file} of {PIP[photograph.package]}"
    if not folders or not (path := Path(folders[0], photograph.file)).is_file():
        raise ValueError(f"{what} is not installed; pip install {PIP[photograph.package]}")
    with Image.open(path) as image:
        values = np.asarray(image.convert("RGB"))
    found = hashlib.sha256(values.tobytes()).hexdigest()
    require(
        found == photograph.sha256,
        f"{what}: its pixels have sha256 {found[:12]}, expected {photograph.sha256[:12]}; install the locked version",
    )
    return values
