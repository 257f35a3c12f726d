"""`lsun`: images of one category of LSUN, exported from its database into a folder.

F. Yu, A. Seff, Y. Zhang, S. Song, T. Funkhouser, J. Xiao: LSUN, arXiv 1506.03365. The database is in LMDB format; its
order is kept where names are numbered, such as bedroom_0000000.png.
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

__all__ = ["LSUN"]


@dataclass(frozen=True)
class LSUN:
    """Images (3, side, side): the short side is brought to `side` pixels and the centre is cut out.

    The first 100 by name are for testing, as in published experiments on its validation set.
    """

    path: str  # folder of PNG or JPEG files
    side: int = 256  # pixels along an image
    resize: Literal["box", "bilinear", "bicubic", "lanczos"] = "bilinear"  # the filter
    num_train: int | None = None  # largest number of training images; null: all others
    num_validation: int = 100  # images for validation
    num_test: int = 100  # images for testing
    skip: bool = False  # leave out damaged images and count them; else stop at the first

    def __post_init__(self) -> None:
        self.folder()

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write a few images into a folder; return the parameters that read them. For tests."""
        write_pictures(folder, [f"bedroom_{i:07}.png" for i in range(6)], (40, 32))
        return {"path": str(folder), "side": 16, "num_validation": 2, "num_test": 2}

    def folder(self) -> Folder:
        """Return the images as a folder."""
        return as_folder(self, crop="centre", order="resize-then-crop")

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows; facts: for the header of the stored file."""
        return self.folder().blocks(facts)

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, and their ids."""
        return joined(self.blocks({}))
