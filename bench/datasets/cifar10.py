"""`cifar10`: small colour images in ten classes, in the binary version of the authors' files.

A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009. A record is a byte for the class, then 1024
bytes each for red, green and blue. The version for Python is a pickle and is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.core.rng import stream
from bench.core.values import is_count, require
from bench.datasets._blocks import in_data_units, joined

__all__ = ["Cifar10"]

NUM_BYTES = 1 + 3 * 32 * 32  # in a record
NUM_CLASSES = 10
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
FIRST_TEST_ID = 1_000_000
AT_ONCE = 5000  # images in a block


@dataclass(frozen=True)
class Cifar10:
    """Images (3, 32, 32) with their classes; a byte v is x = 2 v / 255 - 1.

    An id is the image's number in the training files, or 1000000 plus its number in the test file. The last training
    images are for validation.
    """

    path: str  # folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin
    num_validation: int = 1000  # last images of the training files
    num_test: int = 1000  # first images of the test file

    side: ClassVar[int] = 32

    def __post_init__(self) -> None:
        for name in ("num_validation", "num_test"):
            value = getattr(self, name)
            require(is_count(value), f"cifar10: {name} must be a count, got {value!r}")

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write small files into a folder; return the parameters that read them. For tests."""
        for name in (*TRAINING, TEST):
            records = stream("cifar10", name).integers(0, 256, (5, NUM_BYTES), np.uint8)
            records[:, 0] %= NUM_CLASSES
            (folder / name).write_bytes(records.tobytes())
        return {"path": str(folder), "num_validation": 7, "num_test": 4}

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield what `load` returns in blocks of rows."""
        parts = [self.records(name) for name in TRAINING]
        lengths = [len(part) for part in parts]
        require(
            len(set(lengths)) == 1,
            f"cifar10: {self.path}: the files for training hold {lengths} images, expected equally many; copy the "
            "shorter ones again",
        )
        training = np.concatenate(parts)
        test, num_train = self.records(TEST), len(training) - self.num_validation
        require(num_train > 0, f"cifar10: num_validation must be below {len(training)}")
        require(self.num_test <= len(test), f"cifar10: num_test must be at most {len(test)}")
        rows = {
            "train": (training[:num_train], 0),
            "validation": (training[num_train:], num_train),
            "test": (test[: self.num_test], FIRST_TEST_ID),
        }
        for part, (records, first) in rows.items():
            for start in range(0, len(records), AT_ONCE):
                some = torch.from_numpy(records[start : start + AT_ONCE])
                x = in_data_units(some[:, 1:].unflatten(1, (3, self.side, self.side)))
                ids = first + start + torch.arange(len(some))
                yield {part: x, f"{part}_id": ids, f"{part}_label": some[:, 0].long()}

    def records(self, name: str) -> np.ndarray:
        """Return the records of a file (N, 3073) uint8; raise ValueError, one line, for a file without records."""
        path = Path(self.path).expanduser() / name
        require(path.is_file(), f"cifar10: there is no file {path}; take the binary version")
        values = np.fromfile(path, np.uint8)
        whole = len(values) > 0 and len(values) % NUM_BYTES == 0
        require(
            whole and values[::NUM_BYTES].max() < NUM_CLASSES,
            f"cifar10: {path}: expected records of {NUM_BYTES} bytes that begin with a class 0 to 9; "
            f"it has {len(values)} bytes (truncated, or not the binary version?)",
        )
        return values.reshape(-1, NUM_BYTES)

    def load(self) -> dict[str, Tensor]:
        """Return the images of each split, their ids and labels."""
        return joined(self.blocks({}))
