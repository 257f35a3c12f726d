"""Data sets: real images that ship inside a package, a procedural family whose every member is known, and noise."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from bench.datasets import digits, noise, shapes

DATASETS = {"digits": digits.load, "shapes": shapes.load}
DATASETS |= {f"noise{side}": partial(noise.load, side) for side in (16, 32, 64, 128, 256)}


def load(dataset: str, parameters: Mapping[str, object]) -> dict[str, Tensor]:
    """Tensors of a data set: `train`, `validation`, `test` (N, *x) float32 in [-1, 1] and `train_id`, ... (N,) int64.

    `shapes` has `atoms` (N, *x) as well, the whole family. Raises ValueError for an unknown name or parameter.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset: expected one of {', '.join(DATASETS)}, got {dataset!r}")
    try:
        inspect.signature(DATASETS[dataset]).bind(**parameters)
    except TypeError as error:
        raise ValueError(f"parameters of dataset {dataset}: {error}") from None
    return DATASETS[dataset](**parameters)
