"""Weights of published networks, which no package ships: `python -m bench weights fetch | check [network ...]`.

They lie where torch.hub keeps them, $TORCH_HOME/hub/checkpoints, so that a file which torchvision or torch-fidelity
fetched before is used, and one that was copied there by hand is enough on a machine without network.

Each file is pinned by its sha256. Its publisher states the first eight digits, at the end of the file's name, and
torch.hub checks no more; the rest is what many independent projects have published of their downloads. A file of that
name with another hash is used, too, but never under the published network's name: the names of all columns computed
with it contain `unverified` and the first digits of its own hash.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.core.errors import UserError


@dataclass(frozen=True)
class Weights:
    """A file of weights: its name, where it is published, its sha256, and what it is for."""

    file: str
    url: str
    sha256: str
    purpose: str


UNVERIFIED = "unverified-"  # followed by the first digits of a hash
FETCH = "python -m bench weights fetch"  # followed by a name
ABSENT = (
    "n/a (weights absent: "  # begins the reason of a cell that is empty because of absent weights
)
WEIGHTS = {
    "alexnet": Weights(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "backbone of lpips-alex-v0.1",
    ),
    "vgg16": Weights(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "backbone of lpips-vgg-v0.1",
    ),
    "inception": Weights(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "features of FID and KID on natural images",
    ),
}


def folder() -> Path:
    """Return the folder where torch.hub keeps weights, without an import of torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def missing(name: str) -> str:
    """Return a line that says which file is missing, where it belongs and how to get it; "" where none is missing."""
    weights = WEIGHTS[name]
    if (folder() / weights.file).is_file():
        return ""
    return (
        f"weights absent: {weights.file} ({weights.purpose}) belongs into {folder()}; "
        f"run {FETCH} {name}, or copy the file there from {weights.url}"
    )


def why_absent(name: str) -> str:
    """Return the reason of an empty cell, without a path of this machine; "" where the weights are there."""
    return missing(name) and f"{ABSENT}{FETCH} {name})"


def path_of(name: str) -> Path:
    """Return the path of the published file, its hash checked; UserError, one line, where it is missing or another."""
    fault = missing(name) or _wrong_hash(name)
    if fault:
        raise UserError(fault)
    return folder() / WEIGHTS[name].file


def placed(name: str) -> Path:
    """Return the path of the file, published or `unverified`; UserError, one line, where it is missing."""
    if fault := missing(name):
        raise UserError(fault)
    return folder() / WEIGHTS[name].file


def unverified(name: str) -> str:
    """Return `unverified-` and the file's hash where it is there and is not the published one; else ""."""
    if missing(name):
        return ""
    sha256 = _sha256_of(name)
    return "" if sha256 == WEIGHTS[name].sha256 else f"{UNVERIFIED}{sha256[:8]}"


def check(names: Sequence[str]) -> None:
    """Print a line for each network; exit status 1 when one is missing or not what its pin says."""
    faults = {name: missing(name) or _wrong_hash(name) for name in names}
    for name, fault in faults.items():
        print(f"{name}: {fault or f'{folder() / WEIGHTS[name].file} is there, sha256 as pinned'}")
    if any(faults.values()):
        sys.exit(1)


def fetch(names: Sequence[str]) -> None:
    """Download what is missing, then check all."""
    for name in names:
        if missing(name):
            _download(WEIGHTS[name])
    check(names)


def _download(weights: Weights) -> None:
    """Download a file; pooch gives it its name only once its hash was checked."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    print(f"{weights.url} -> {folder()}", flush=True)
    try:
        pooch.retrieve(
            weights.url,
            f"sha256:{weights.sha256}",
            weights.file,
            folder(),
            progressbar=sys.stderr.isatty(),
        )
    except (OSError, ValueError) as error:  # no network; another hash
        why = " ".join(str(error).split())
        raise UserError(
            f"{weights.file}: could not be fetched ({why}); copy it into {folder()} from {weights.url}"
        ) from None


def _wrong_hash(name: str) -> str:
    """Return what is wrong with a file that is there; "" where its sha256 is as pinned."""
    weights = WEIGHTS[name]
    sha256 = _sha256_of(name)
    if sha256 == weights.sha256:
        return ""
    return (
        f"{folder() / weights.file}: its sha256 begins with {sha256[:12]}, expected {weights.sha256[:12]} (truncated "
        f"or another file?); delete it and run {FETCH} {name}; until then its columns are named unverified"
    )


def _sha256_of(name: str) -> str:
    path = folder() / WEIGHTS[name].file
    return _digest(path, path.stat().st_size, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """Return the sha256 of a file, which is read again only once its size or its time has changed."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def main(*arguments: str) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench weights", description="Weights of published networks."
    )
    parser.add_argument("what", choices=["fetch", "check"])
    parser.add_argument(
        "networks", nargs="*", metavar="network", help=f"{', '.join(WEIGHTS)}; all by default"
    )
    options = parser.parse_args(arguments)
    names = options.networks or list(WEIGHTS)
    for name in names:
        if name not in WEIGHTS:
            raise UserError(f"weights: expected one of {', '.join(WEIGHTS)}, got {name!r}")
    {"fetch": fetch, "check": check}[options.what](names)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
