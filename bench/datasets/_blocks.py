"""Blocks of data sets that may be too large for memory, and a function that joins all blocks.

Such a plug-in has `blocks(facts)` as well as `load()`. It yields mappings from names to consecutive rows of tensors,
split by split, and writes facts for the header of the stored file into the dict `facts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

PARTS = ("train", "validation", "test")
VALUES_AT_ONCE = 2**24  # values of all images in a block


def joined(blocks: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors whose rows come in blocks."""
    rows: dict[str, list[Tensor]] = {}
    for block in blocks:
        for name, part in block.items():
            rows.setdefault(name, []).append(part)
    return {name: torch.cat(rows.pop(name)) for name in list(rows)}


def in_data_units(values: Tensor) -> Tensor:
    """Return bytes 0 to 255 as float32 in [-1, 1]."""
    return values.float().div_(127.5).sub_(1)
