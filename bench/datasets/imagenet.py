"""`imagenet`: images of ImageNet in one folder for each class, such as its training or its sorted validation set.

O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge, IJCV 2015. Not for commercial use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from bench.datasets._blocks import joined
from bench.datasets._image_files import write_pictures
from bench.datasets._presets import as_folder
from bench.datasets.folder import Folder

__all__ = ["ImageNet"]


@dataclass(frozen=True)
class ImageNet:
    """Images (3, side, side) with their classes, which are numbered in the order of the folders' names.

    The first images are for testing, the next for validation; the order is that of `names`, or one of every class in
    turn.
    """

    path: str  # folder with one folder of images for each class
    side: int = 64  # pixels along an image
    names: str = ""  # text file in the folder with names such as n01440764/ILSVRC2012_val_00000293.JPEG; "": all
    # true: the short side to `side`, then the centre; false: the whole image to side x side
    keep_aspect: bool = False
    resize: Literal["box", "bilinear", "bicubic", "lanczos"] = "bilinear"  # the filter
    num_train: int | None = None  # largest number of training images; null: all others
    num_validation: int = 100  # images for validation
    num_test: int = 100  # images for testing
    skip: bool = False  # leave out damaged images and count them; else stop at the first

    def __post_init__(self) -> None:
        self.folder()

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write a few images of two classes into a folder; return the parameters that read them. For tests."""
        names = [f"n0{1 + i % 2}/{i}.JPEG" for i in range(8)]
        write_pictures(folder, names, (30, 20))
        (folder / "list.txt").write_text("\n".join(names))
        counts = {"num_validation": 2, "num_test": 2}
        return {"path": str(folder), "side": 16, "names": "list.txt", **counts}

    def folder(self) -> Folder:
        """Return the images as a folder."""
        if self.keep_aspect:
            return as_folder(self, classes=True, crop="centre", order="resize-then-crop")
        return as_folder(self, classes=True)

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows; facts: for the header of the stored file."""
        return self.folder().blocks(facts)

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, their ids and labels."""
        return joined(self.blocks({}))
