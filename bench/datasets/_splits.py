"""Split data sets into training, validation and test images by committed lists, which no library's version can change.

`write` drew the lists once, from a named stream for each data set. Images in neither list are for training.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from bench.core.rng import stream

SIZES = {"digits": 1797, "shapes": 9680}
NUM_VALIDATION, NUM_TEST = 200, 300


def split(dataset: str, images: Tensor) -> dict[str, Tensor]:
    """Divide images (N, *x) by the committed lists, whose order is kept; an image's id is its index."""
    lists = json.loads(_path(dataset).read_text())
    if len(images) != lists["num_images"]:
        raise ValueError(
            f"{_path(dataset).name}: made for {lists['num_images']} images, got {len(images)}"
        )
    held_out = torch.zeros(len(images), dtype=torch.bool)
    held_out[lists["validation"] + lists["test"]] = True
    ids = {
        "train": (~held_out).nonzero().flatten(),
        "validation": torch.tensor(lists["validation"]),
        "test": torch.tensor(lists["test"]),
    }
    return {name: images[i] for name, i in ids.items()} | {
        f"{name}_id": i for name, i in ids.items()
    }


def draw_lists(dataset: str) -> dict[str, int | list[int]]:
    """Draw the lists: the first images of a random order are for testing, the next for validation."""
    order = stream("split", dataset).permutation(SIZES[dataset]).tolist()
    test, validation = order[:NUM_TEST], order[NUM_TEST : NUM_TEST + NUM_VALIDATION]
    return {"num_images": SIZES[dataset], "test": test, "validation": validation}


def write(dataset: str) -> None:
    """Write the lists of `draw_lists`, to be committed.

    `python -c "from bench.datasets._splits import write; write('digits')"`
    """
    lines = (f' "{key}": {json.dumps(value)}' for key, value in draw_lists(dataset).items())
    _path(dataset).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _path(dataset: str) -> Path:
    return Path(__file__).with_name(f"{dataset}_split.json")
