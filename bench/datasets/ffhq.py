"""`ffhq`: portraits, the PNG files of FFHQ at 256 x 256 pixels or larger.

T. Karras, S. Laine, T. Aila: A Style-Based Generator Architecture for Generative Adversarial Networks, CVPR 2019. The
set is CC BY-NC-SA 4.0, and its images have licences of their own. https://github.com/NVlabs/ffhq-dataset
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

__all__ = ["FFHQ"]


@dataclass(frozen=True)
class FFHQ:
    """Images (3, side, side); the first by name (00000.png to 00999.png) are for testing, as in published experiments.

    An image of another size than `side` is resized as a whole, since all are square.
    """

    path: str  # folder of PNG files, with its subfolders
    side: int = 256  # pixels along an image
    # text file in the folder with the names to take, one per line, in this order; "": all
    names: str = ""
    resize: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"  # the filter
    num_train: int | None = 1000  # largest number of training images; null: all others
    num_validation: int = 2  # images for validation
    num_test: int = 1000  # images for testing
    skip: bool = False  # leave out damaged images and count them; else stop at the first

    def __post_init__(self) -> None:
        self.folder()

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write a few images into a folder; return the parameters that read them. For tests."""
        write_pictures(folder, [f"00000/{i:05}.png" for i in range(8)], (32, 32))
        return {"path": str(folder), "side": 16, "num_validation": 2, "num_test": 2}

    def folder(self) -> Folder:
        """Return the images as a folder."""
        return as_folder(self)

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows; facts: for the header of the stored file."""
        return self.folder().blocks(facts)

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, and their ids."""
        return joined(self.blocks({}))
