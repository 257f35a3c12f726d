"""`celeba`: aligned faces of celebrities, from the authors' folder and partition file.

Z. Liu, P. Luo, X. Wang, X. Tang: Deep Learning Face Attributes in the Wild, ICCV 2015. Not for commercial use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from bench.core.values import require
from bench.datasets._blocks import joined
from bench.datasets._image_files import write_pictures
from bench.datasets._presets import as_folder
from bench.datasets.folder import Folder

__all__ = ["CelebA"]

FOLDER = "img_align_celeba"
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv")


@dataclass(frozen=True)
class CelebA:
    """Faces (3, side, side) of img_align_celeba, divided by list_eval_partition.txt (or .csv) next to that folder."""

    path: str  # folder with img_align_celeba and the partition file
    side: int = 64  # pixels along an image
    crop: Literal["celeba-128", "celeba-178"] = "celeba-178"  # around the face, or in the centre
    resize: Literal["box", "bilinear", "bicubic", "lanczos"] = "bilinear"  # the filter
    num_train: int | None = None  # most training images; all 162770 if not given
    num_validation: int = 1000  # first images of the partition's validation set
    num_test: int = 1000  # first images of the partition's test set
    skip: bool = False  # leave out damaged images and count them; else stop at the first

    def __post_init__(self) -> None:
        self.folder("")

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write a few images and a partition into a folder; return the parameters that read them. For tests."""
        names = [f"{i:06}.jpg" for i in range(1, 9)]
        write_pictures(folder / FOLDER, names, (178, 218))
        lines = [f"{name} {i % 3}\n" for i, name in enumerate(names)]
        (folder / PARTITIONS[0]).write_text("".join(lines))
        return {"path": str(folder), "side": 16}

    def folder(self, partition: str) -> Folder:
        """Return the images as a folder."""
        return as_folder(self, path=f"{self.path}/{FOLDER}", split=f"../{partition}")

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows; facts: for the header of the stored file."""
        root = Path(self.path).expanduser()
        found = [name for name in PARTITIONS if (root / name).is_file()]
        require(bool(found), f"celeba: {root} holds no {' or '.join(PARTITIONS)}")
        return self.folder(found[0]).blocks(facts)

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, and their ids."""
        return joined(self.blocks({}))
