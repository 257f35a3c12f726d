"""The checks that every data set passes: its splits, their range and dtypes, and equal bits at each load."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bench.conformance.checks import Check, NotApplicable, require
from bench.conformance.plugin import PLUGIN_CHECKS, PluginCase
from bench.core.source import read_source

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DatasetCase(PluginCase):
    """A data set's file, and its tensors."""

    @cached_property
    def data(self) -> dict[str, Tensor]:
        return self.instance.load()


def side_is_readable(case: DatasetCase) -> str:
    source = read_source(case.path)
    known = source is not None and (
        "side" in source.fields or isinstance(source.constant("side"), int)
    )
    require(
        known, "write `side` (pixels along an image) as a field or as `side: ClassVar[int] = 8`"
    )
    return f"side = {case.instance.side}"


def has_splits(case: DatasetCase) -> str:
    wanted = [f"{split}{what}" for split in SPLITS for what in ("", "_id")]
    missing = [name for name in wanted if not isinstance(case.data.get(name), Tensor)]
    require(not missing, f"load() gives no tensor {', '.join(missing)}")
    return ", ".join(f"{len(case.data[split])} for {split}" for split in SPLITS)


def images_are_right(case: DatasetCase) -> str:
    side = case.instance.side
    rows = getattr(case.instance, "num_vertices", side)  # a signal on a mesh has one row per vertex
    shape = tuple(case.data["train"].shape[1:])
    require(
        len(shape) == 3 and shape[1:] == (rows, side),
        f"images are {shape}, expected (channels, {rows}, {side})",
    )
    for name in [*SPLITS, *(["atoms"] if "atoms" in case.data else [])]:
        images = case.data[name]
        require(images.dtype == torch.float32, f"{name} is {images.dtype}, expected torch.float32")
        require(
            tuple(images.shape[1:]) == shape and len(images),
            f"{name} is {tuple(images.shape)}, train has {shape}",
        )
        low, high = images.min().item(), images.max().item()
        require(-1 <= low <= high <= 1, f"{name} is in [{low:.3g}, {high:.3g}], expected [-1, 1]")
    return str(shape)


def splits_are_disjoint(case: DatasetCase) -> str:
    for split in SPLITS:
        ids = case.data[f"{split}_id"]
        require(ids.dtype == torch.int64, f"{split}_id is {ids.dtype}, expected torch.int64")
        expected = (len(case.data[split]),)
        require(
            tuple(ids.shape) == expected, f"{split}_id is {tuple(ids.shape)}, expected {expected}"
        )
    ids = torch.cat([case.data[f"{split}_id"] for split in SPLITS])
    repeated = len(ids) - len(ids.unique())
    require(not repeated, f"{repeated} ids occur twice: no image may be in two splits")
    return f"{len(ids)} ids"


def labels_are_whole(case: DatasetCase) -> str:
    names = [f"{split}_label" for split in SPLITS]
    present = [name for name in names if name in case.data]
    if not present:
        raise NotApplicable("it has no labels")
    require(
        present == names,
        f"there is {', '.join(present)}; expected labels for all splits or for none",
    )
    for split, name in zip(SPLITS, names, strict=True):
        labels = case.data[name]
        right = labels.dtype == torch.int64 and tuple(labels.shape) == (len(case.data[split]),)
        require(
            right,
            f"{name} is {labels.dtype} {tuple(labels.shape)}, expected int64, one for each image",
        )
    return ""


def repeats(case: DatasetCase) -> str:
    state = torch.get_rng_state()
    again = case.instance.load()
    require(
        torch.equal(state, torch.get_rng_state()),
        "load() draws from torch's global generator; use core.rng.stream",
    )
    require(again.keys() == case.data.keys(), "load() gives other names the second time")
    changed = [name for name in again if not torch.equal(again[name], case.data[name])]
    require(not changed, f"load() gives other values of {', '.join(changed)} the second time")
    return ""


def blocks_are_the_same(case: DatasetCase) -> str:
    if not hasattr(case.instance, "blocks"):
        raise NotApplicable("it has no blocks(facts)")
    facts: dict[str, object] = {}
    blocks = list(case.instance.blocks(facts))
    names = list(dict.fromkeys(name for block in blocks for name in block))
    require(set(names) == set(case.data), f"blocks have {', '.join(names)}, load() has others")
    for name in names:
        rows = torch.cat([block[name] for block in blocks if name in block])
        require(torch.equal(rows, case.data[name]), f"blocks of {name} are not what load() gives")
    return f"{len(blocks)} blocks; the header gets {', '.join(facts) or 'nothing'}"


CHECKS = (
    *PLUGIN_CHECKS,
    Check("`side` can be read without importing the file", side_is_readable),
    Check("there are images and ids for training, validation and testing", has_splits, gate=True),
    Check("images are float32 of one shape in [-1, 1]", images_are_right),
    Check("ids are int64, and no image is in two splits", splits_are_disjoint),
    Check("labels, where there are any, are whole numbers, one for each image", labels_are_whole),
    Check("a repeated load gives the same bits", repeats),
    Check("blocks, where there are any, are what is loaded", blocks_are_the_same),
)
CASE = DatasetCase
