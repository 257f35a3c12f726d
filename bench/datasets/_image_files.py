"""Image files of a folder as a data set: find the files, divide them into splits, and read their pixels in blocks."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.core.folders import names_below
from bench.core.values import require
from bench.datasets._blocks import PARTS, VALUES_AT_ONCE, in_data_units
from bench.datasets._framing import Framing
from bench.runtime.progress import progress

SUFFIXES = (".png", ".jpg", ".jpeg")
CODES = {"0": "train", "1": "validation", "2": "test"} | {part: part for part in PARTS}
# `name part`: the last field is the part
LINE = re.compile(r"(?P<name>.*[^\s,])\s*[,\s]\s*(?P<code>[^\s,]+)")
MOST_NAMES = 10  # names of skipped images in the header
ID_BITS = 53  # so that a double can hold an id exactly

Splits = Mapping[str, Sequence[str]]  # names of each split


@dataclass(frozen=True)
class ImageFiles:
    """Files in a folder and its subfolders, divided into splits, and the framing of their images.

    skip: whether images that cannot be used are left out and counted. classes: the folders that are classes, in order;
    an image's label is the number of the folder with which its name begins.
    """

    root: Path
    splits: Splits
    framing: Framing
    skip: bool = False
    classes: Sequence[str] = ()

    def blocks(self, facts: dict[str, object]) -> Iterator[dict[str, Tensor]]:
        """Yield images, ids and labels of each split; facts: counts, names, and a sha256 over all decoded bytes."""
        digest, skipped, counts = hashlib.sha256(), [], {}
        number_of = {name: number for number, name in enumerate(self.classes)}
        for part in PARTS:
            used: list[str] = []
            for names, values in self.in_blocks(part, skipped):
                digest.update(values.data)
                used += names
                x = in_data_units(torch.from_numpy(values))
                ids = torch.tensor([id_of(name) for name in names])
                block = {part: x, f"{part}_id": ids}
                if self.classes:
                    labels = torch.tensor([number_of[name.split("/")[0]] for name in names])
                    block[f"{part}_label"] = labels
                yield block
            require(len(used) > 0, f"{self.root}: no image for {part}")
            counts[part] = len(used)
        facts |= {"pixels_sha256": digest.hexdigest(), "num_images": counts}
        facts |= {"num_skipped": len(skipped), "skipped": skipped[:MOST_NAMES]}
        if skipped:
            print(
                f"{self.root}: skipped {len(skipped)} images, first {skipped[0]}", file=sys.stderr
            )

    def in_blocks(self, part: str, skipped: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield names and pixels (n, channels, side, side) of the images of a split that can be used."""
        names = self.splits[part]
        num = max(1, VALUES_AT_ONCE // (3 * self.framing.side**2))
        starts = range(0, len(names), num)
        for start in progress(
            starts, len(starts), f"{self.root}: blocks of {num} images for {part}"
        ):
            used, images = [], []
            for name in names[start : start + num]:
                fault, values = self.pixels(name)
                if fault and not self.skip:
                    raise ValueError(
                        f"{self.root / name}: {fault}; mend or remove it, or leave such images out: skip: true"
                    )
                if fault:
                    skipped.append(f"{name}: {fault}")
                else:
                    used.append(name)
                    images.append(values)
            if used:
                yield used, np.stack(images)

    def pixels(self, name: str) -> tuple[str, np.ndarray]:
        """Return an image's fault, or "", and its pixels, empty if there is a fault."""
        path = self.root / name
        # a broken link, a folder, or a pipe, for which reading would wait
        if not path.is_file():
            return "there is no such file", np.empty(0)
        try:
            with Image.open(path) as image:
                image.load()
                return "", self.framing(image)
        except ValueError as error:
            fault = str(error)
        except Exception as error:  # decoders of damaged files raise errors of all kinds
            fault = f"cannot be decoded ({' '.join(str(error).split())})"
        return fault, np.empty(0)


def files_below(root: Path) -> list[str]:
    """Return the names of all PNG and JPEG files in a folder and its subfolders, sorted, with `/` on every system.

    Hidden files and folders are left out; links to folders are followed.
    """
    require(root.is_dir(), f"there is no folder {root}")
    found = [name for name in names_below(root) if name.lower().endswith(SUFFIXES)]
    require(len(found) > 0, f"no PNG or JPEG below {root}")
    broken = [name for name in found if "\n" in name]
    require(not broken, f"{root}: the name {broken[:1]!r} has a line break; rename it")
    return sorted(found)


def listed(file: Path) -> list[str]:
    """Return the names in a text file with one name per line, in its order."""
    names = [os.path.normpath(line) for line in lines_of(file)]  # without the ./ that `find` writes
    repeated = len(names) - len(set(names))
    require(not repeated, f"{file}: {repeated} names stand there twice")
    outside = [name for name in names if name.startswith("..") or os.path.isabs(name)]
    require(not outside, f"{file}: {outside[:1]} does not lie in the folder; give names below it")
    return names


def lines_of(file: Path) -> list[str]:
    """Return the lines of a text file in UTF-8 that are neither empty nor begin with #."""
    require(file.is_file(), f"there is no file {file}")
    try:
        lines = file.read_text("utf-8-sig").splitlines()  # with or without a byte order mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: is no text in UTF-8 ({error.reason})") from None
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def by_class(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names by the folder with which they begin, both sorted."""
    classes: dict[str, list[str]] = {}
    for name in sorted(names):
        require(
            "/" in name, f"{name} lies in no folder; with classes: true each class has a folder"
        )
        classes.setdefault(name.split("/")[0], []).append(name)
    return classes


def in_turn(classes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the first name of every class, then the second, and so on."""
    turns = itertools.zip_longest(*classes.values())
    return [name for turn in turns for name in turn if name is not None]


def split_by_order(
    names: Sequence[str], num_train: int | None, num_validation: int, num_test: int
) -> Splits:
    """Divide names: the first are for testing, the next for validation, the others for training."""
    held_out = num_test + num_validation
    require(
        len(names) > held_out,
        f"there are {len(names)} images, expected more than num_test + num_validation = {held_out}",
    )
    train = names[held_out:] if num_train is None else names[held_out : held_out + num_train]
    return {"test": names[:num_test], "validation": names[num_test:held_out], "train": train}


def split_by_file(file: Path, names: Sequence[str], nums: Mapping[str, int | None]) -> Splits:
    """Divide names by a file with lines `name part`, separated by a comma, a blank or a tab.

    part: train, validation, test, or CelebA's 0, 1, 2. A name that the file does not list is in no split. nums: the
    largest number of images in each split; None: all.
    """
    part_of: dict[str, str] = {}
    for number, line in enumerate(lines_of(file), 1):
        fields = LINE.fullmatch(line)
        name, code = fields.group("name", "code") if fields else (line, "")
        if number == 1 and code == "partition":  # the head of a csv
            continue
        require(
            code in CODES,
            f"{file}: line {line!r}: expected a name and one of {', '.join(CODES)}",
        )
        name = os.path.normpath(name.strip('"'))
        require(name not in part_of, f"{file}: {name} stands there twice")
        part_of[name] = CODES[code]
    return {
        part: [name for name in names if part_of.get(name) == part][: nums[part]] for part in PARTS
    }


def id_of(name: str) -> int:
    """Return the id of an image, which depends on its name alone, so that other files do not change it."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest(), "big") >> (256 - ID_BITS)


def write_pictures(folder: Path, names: Sequence[str], size: tuple[int, int]) -> None:
    """Write random smooth images of `size` (width, height) under these names, for tests."""
    from bench.core.rng import stream

    for name in names:
        values = stream("picture", name).integers(0, 256, (4, 4, 3), np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).resize(size, Image.Resampling.BICUBIC).save(folder / name)
