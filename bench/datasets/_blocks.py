"""Data sets that may be too large for memory come in blocks, which one function joins for those who want all of it.

Such a plug-in has `blocks(facts)` beside `load()`: it yields mappings of names to rows of tensors, one below the other,
split by split, and writes into the dict `facts` what the header of the stored file shall say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

PARTS = ("train", "validation", "test")
VALUES_AT_ONCE = 2**24  # of the images in a block


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
