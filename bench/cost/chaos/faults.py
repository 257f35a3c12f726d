"""Damage one file of each kind in each way, run the same command, follow its advice, and compare all files."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cost.chaos.kills import differing
from bench.cost.chaos.workshop import Workshop
from bench.cost.common import Say

# files damaged at once: a run refuses one after another, and makes the others anew together, which saves time
TOGETHER = 16
ADVICE = re.compile(r"^error: (\S+?): .*?; (?:delete (.+?) and|mend)")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Flip a bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def delete(path: Path) -> None:
    path.unlink()


WAYS: dict[str, Callable[[Path], None]] = {
    "truncated": truncate,
    "flipped": flip,
    "emptied": empty,
    "folder": replace_by_folder,
    "deleted": delete,
}


@dataclass
class Fault:
    """A damaged file. outcome: "refused" (in one line that names it), "made anew" (silently), or what went wrong."""

    path: str
    way: str
    outcome: str = ""

    @property
    def kind(self) -> str:
        return kind_of(self.path)


def kind_of(path: str) -> str:
    """Return the kind of a file: its path with names replaced by `*`, e.g. `runs/*/*/seed0/samples.safetensors`."""
    path = re.sub(r"figures/[^.]+", "figures/*", path)
    path = re.sub(r"specs/(\w+)/.+", r"specs/\1/*.json", path)
    parts = path.split("/")
    deep = {"runs": (1, 2), "tasks": (1,), "priors": (1,), "data": (), "tuning": (1, 2)}
    for index in deep.get(parts[0], ()):
        parts[index] = "*"
    if parts[0] in ("data",) or (
        parts[0] == "priors" and len(parts) == 3 and "safetensors" in path
    ):
        parts[-1] = "*.safetensors"
    return "/".join(parts)


def all_faults(files: Sequence[str], rng: random.Random) -> list[Fault]:
    """Return one file of each kind with each way to damage it, in random order."""
    of_kind: dict[str, list[str]] = {}
    for path in sorted(files):
        of_kind.setdefault(kind_of(path), []).append(path)
    faults = [Fault(rng.choice(paths), way) for paths in of_kind.values() for way in WAYS]
    rng.shuffle(faults)
    return faults


def damage_files(
    shop: Workshop, faults: Sequence[Fault], tensors: Mapping[str, str], say: Say
) -> list[Fault]:
    """Damage the files of a finished run, at most TOGETHER at a time, and print the outcome of each."""
    files, todo = shop.files(), list(faults)
    while todo:
        chosen: dict[str, Fault] = {}
        for fault in todo:
            if len(chosen) < TOGETHER:
                chosen.setdefault(fault.path, fault)
        todo = [fault for fault in todo if chosen.get(fault.path) is not fault]
        damage_some(shop, list(chosen.values()), files, tensors)
        for fault in chosen.values():
            say(f"{fault.way:9} {fault.kind}: {fault.outcome}")
    return list(faults)


def damage_some(
    shop: Workshop, faults: Sequence[Fault], files: set[str], tensors: Mapping[str, str]
) -> None:
    """Damage files, then run until nothing is refused, and delete what each refusal names."""
    before = {fault.path: (shop.results / fault.path).read_bytes() for fault in faults}
    for fault in faults:
        WAYS[fault.way](shop.results / fault.path)
    damaged = {fault.path: _content(shop.results / fault.path) for fault in faults}
    for _ in range(2 * len(faults) + 2):
        ended = shop.run()
        if ended.status == 0:
            break
        told = _follow(shop, ended.errors)
        for fault in faults:
            if told is not None and fault.path in told and not fault.outcome:
                fault.outcome = "traceback" if ended.has_traceback else "refused"
        if told is None:
            for fault in faults:
                fault.outcome = fault.outcome or f"failed: {' '.join(ended.errors)[:200]}"
            _start_anew(shop)
            return
    absent, wrong = files - shop.files(), differing(shop.tensors(), tensors)
    for fault in faults:
        path = shop.results / fault.path
        if fault.path in absent or fault.path in wrong:
            fault.outcome = "not restored"
        elif not fault.outcome:
            same = _content(path) == damaged[fault.path] != before[fault.path]
            fault.outcome = "not noticed" if same else "made anew"
    if absent or wrong:
        _start_anew(shop)


def _follow(shop: Workshop, errors: Sequence[str]) -> str | None:
    """Delete what the first refusal advises to delete, and return the path that it names; None without such advice."""
    advice = [match for line in errors if (match := ADVICE.match(line))][:1]
    if not advice or not advice[0][2]:
        return None
    named = Path(advice[0][1])
    for word in advice[0][2].split():
        path = named if word == "it" else Path(word) if "/" in word else named.parent / word
        path = shop.folder / path
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return str(named)


def _start_anew(shop: Workshop) -> None:
    shutil.rmtree(shop.results)
    shop.run()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
