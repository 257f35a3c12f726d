"""`fashion`: Fashion-MNIST, photographs of garments in ten classes, 28 x 28 pixels, from the authors' four IDX files.

H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv 1708.07747; MIT licence. Debian's package dataset-fashion-mnist
puts the files into /usr/share/datasets/fashion-mnist.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.core.rng import stream
from bench.core.values import is_count, require

__all__ = ["Fashion"]

URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
NUM_TRAINING, NUM_TEST = 60_000, 10_000
FIRST_TEST_ID = NUM_TRAINING


class File(NamedTuple):
    """One of the four files: its name, the shape of its array, and the sha256 of its unpacked bytes."""

    name: str
    shape: tuple[int, ...]
    sha256: str


IMAGES = File(
    "train-images-idx3-ubyte",
    (NUM_TRAINING, 28, 28),
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
)
LABELS = File(
    "train-labels-idx1-ubyte",
    (NUM_TRAINING,),
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
)
TEST_IMAGES = File(
    "t10k-images-idx3-ubyte",
    (NUM_TEST, 28, 28),
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
)
TEST_LABELS = File(
    "t10k-labels-idx1-ubyte",
    (NUM_TEST,),
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


@dataclass(frozen=True)
class Fashion:
    """Images (1, 28, 28) in [-1, 1] with their classes.

    Uniform noise u fills the steps between the 256 values v, so that a density exists: x = 2 (v + u) / 256 - 1. The
    last training images are for validation. An id is the image's number; the first test image has 60000.
    """

    path: str  # folder with the four IDX files, packed (.gz) or not
    fetch: bool = False  # download missing files into that folder
    num_train: int = 59_000  # first images of the training file
    num_validation: int = 1000  # last images of the training file
    num_test: int = 1000  # first images of the test file

    side: ClassVar[int] = 28
    tiny: ClassVar[Mapping[str, object]] = {  # for tests, where Debian's files are there
        "path": "/usr/share/datasets/fashion-mnist",
        "num_train": 100,
        "num_validation": 10,
        "num_test": 10,
    }

    def __post_init__(self) -> None:
        for name in ("num_train", "num_validation", "num_test"):
            value = getattr(self, name)
            require(is_count(value), f"fashion: {name} must be a count, got {value!r}")
        require(
            self.num_train + self.num_validation <= NUM_TRAINING and self.num_test <= NUM_TEST,
            f"fashion: there are {NUM_TRAINING} images for training and validation, {NUM_TEST} for testing",
        )

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, their ids and labels."""
        first = NUM_TRAINING - self.num_validation
        training = {"train": slice(self.num_train), "validation": slice(first, NUM_TRAINING)}
        tensors: dict[str, Tensor] = {}
        for files, parts, first_id in (
            ((IMAGES, LABELS), training, 0),
            ((TEST_IMAGES, TEST_LABELS), {"test": slice(self.num_test)}, FIRST_TEST_ID),
        ):
            values, labels = (self.array(file) for file in files)
            steps = stream("dequantise", "fashion", files[0].name).random(values.shape, np.float32)
            steps += values
            x = torch.from_numpy(steps).div_(128).sub_(1)[:, None]
            for part, rows in parts.items():
                ids = torch.arange(first_id, first_id + len(x))[rows]
                classes = torch.from_numpy(labels[rows].astype(np.int64))
                tensors |= {part: x[rows], f"{part}_id": ids, f"{part}_label": classes}
        return tensors

    def array(self, file: File) -> np.ndarray:
        """Return the array in a file, uint8; raise ValueError, one line, if the file is missing or has other bytes."""
        folder = Path(self.path).expanduser()
        places = [folder / file.name, folder / f"{file.name}.gz"]
        present = [place for place in places if place.is_file()]
        if not present:
            require(
                self.fetch,
                f"fashion: {places[0]}(.gz) is missing; name another path, or say fetch: true to download it",
            )
            download(file, places[1])
        path = (present or places[1:])[0]
        try:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"fashion: {path}: cannot be unpacked ({error}); delete it") from None
        found = hashlib.sha256(data).hexdigest()
        require(
            found == file.sha256,
            f"fashion: {path}: sha256 of its unpacked bytes is {found[:12]}, expected {file.sha256[:12]}; delete it",
        )
        return np.frombuffer(data, np.uint8, offset=4 + 4 * len(file.shape)).reshape(file.shape)


def download(file: File, path: Path) -> None:
    """Download a packed file, whose content is checked when it is read; raise ValueError, one line, if that fails."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    url = f"{URL}{file.name}.gz"
    try:
        pooch.retrieve(url, None, path.name, path.parent)
    except (OSError, ValueError) as error:  # no network
        why = " ".join(str(error).split())
        raise ValueError(
            f"fashion: {url} could not be fetched ({why}); copy it to {path.parent}"
        ) from None
