"""`folder`: the PNG and JPEG files of any folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from bench.core.values import is_count, require
from bench.datasets._blocks import PARTS, joined
from bench.datasets._framing import Framing
from bench.datasets._image_files import (
    ImageFiles,
    by_class,
    files_below,
    in_turn,
    listed,
    split_by_file,
    split_by_order,
    write_pictures,
)

__all__ = ["Folder"]


@dataclass(frozen=True)
class Folder:
    """Images (3, side, side), or (1, side, side) in grey; a byte v is x = 2 v / 255 - 1.

    Files, also those in subfolders, are taken in the order of their names; with `classes`, one of every class in turn.
    The first are for testing, the next for validation, the others for training, unless `split` names a file. An image's
    id depends on its name alone.
    """

    path: str  # the folder
    side: int  # pixels along an image, after crop and resize
    # text file in the folder with the names to take, one per line, in this order; "": all
    names: str = ""
    offset: int = 0  # number of names left out at the start
    limit: int | None = None  # largest number of names taken after these
    split: str = ""  # text file in the folder, lines `name part`: train, validation, test or 0, 1, 2; "": by order
    num_train: int | None = None  # largest number of training images; null: all others
    num_validation: int = (
        100  # images for validation; with `split` the largest number of those that it lists
    )
    num_test: int = 100  # images for testing; likewise
    # centre: the largest square; celeba-128, celeba-178: for aligned CelebA images
    crop: Literal["none", "centre", "celeba-128", "celeba-178"] = "none"
    resize: Literal["none", "box", "bilinear", "bicubic", "lanczos"] = "none"  # the filter
    antialias: bool = True  # widen the filter if an image shrinks
    # resize-then-crop: the short side to `side`, then the centre; else the crop to side x side
    order: Literal["crop-then-resize", "resize-then-crop"] = "crop-then-resize"
    grey: bool = False  # convert images to one channel
    classes: bool = False  # take the first folder in a name as the image's class
    skip: bool = False  # leave out images that are damaged or of another size, and count them; else stop at the first

    def __post_init__(self) -> None:
        self.framing()
        for name in ("limit", "num_train", "num_validation", "num_test"):
            value = getattr(self, name)
            may_miss = name in ("limit", "num_train") and value is None
            require(may_miss or is_count(value), f"folder: {name} must be a count, got {value!r}")
        require(
            type(self.offset) is int and self.offset >= 0,
            f"folder: offset must be 0 or a count, got {self.offset!r}",
        )

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write a few images into a folder; return the parameters that read them. For tests."""
        write_pictures(folder, [f"{i % 2}/{i}.png" for i in range(8)], (20, 16))
        small = {"side": 8, "num_validation": 2, "num_test": 3, "classes": True}
        return {"path": str(folder), "crop": "centre", "resize": "bicubic", **small}

    def framing(self) -> Framing:
        """Return the framing of images; raise ValueError if the parameters do not go together."""
        try:
            return Framing(self.side, self.crop, self.resize, self.antialias, self.order, self.grey)
        except ValueError as error:
            raise ValueError(f"folder: {error}") from None

    def files(self) -> ImageFiles:
        """Return the files, divided into splits."""
        root = Path(self.path).expanduser()
        names = listed(root / self.names) if self.names else files_below(root)
        classes = by_class(names) if self.classes else {}
        if classes and not self.names:
            names = in_turn(classes)
        names = names[self.offset :][: self.limit]
        if self.split:
            nums = {part: getattr(self, f"num_{part}") for part in PARTS}
            # the `..` of celeba is resolved in the path's text, since the folder may be a link
            splits = split_by_file(Path(os.path.normpath(root / self.split)), names, nums)
        else:
            splits = split_by_order(names, self.num_train, self.num_validation, self.num_test)
        return ImageFiles(root, splits, self.framing(), self.skip, list(classes))

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows; facts: for the header of the stored file."""
        return self.files().blocks(facts)

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, their ids and, with `classes`, their labels."""
        return joined(self.blocks({}))
