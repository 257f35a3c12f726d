"""`posterior-bench rehearse SUITE`: write a copy of a suite with stand-ins for its weights and images, the twin.

The twin is the suite with the changes of its own key `rehearse`, and with paths into the folder of the rehearsal. There
images are artificial, and checkpoints, in the format of the published ones, are narrow and have random weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import UserError
from bench.core.papers import REHEARSAL
from bench.core.shipped import suite_file
from bench.papers import stand_ins
from bench.plan.config import read_suite
from bench.plan.papers import original
from bench.plan.schema import dataset_plugin
from bench.plan.suite import Suite

FOLDER = Path("rehearsals")  # in the working directory
ONLY_OF_THE_SUITE = ("rehearse", "unknown", "device", "precision")  # keys that the twin lacks
WIDTH, RANDOM = 0.0625, "random"  # of networks in other formats than diffusers', by their families
HEAD = "# Written by `posterior-bench rehearse {of}`: networks of random weights, numbers that mean nothing.\n"


def write_rehearsal(of: str, folder: Path = FOLDER) -> Path:
    """Write the twin of a suite with its images and checkpoints; return its YAML file.

    of: a name in config/, such as papers/dps_ffhq256, or a file. UserError, one line, where it cannot be rehearsed.
    """
    read_suite({"suite": str(suite_file(of))})
    content = original(of).content
    if "rehearse" not in content:
        raise UserError(f"{suite_file(of)}: has no key rehearse, which says what is smaller then")
    home = folder / content["name"]
    shutil.rmtree(home, ignore_errors=True)
    twin = twin_of(content, of)
    with_stand_ins(twin, home)
    file = home / "suite.yaml"
    file.write_text(HEAD.format(of=of) + yaml.safe_dump(twin, sort_keys=False, width=120))
    return file


def twin_of(content: Mapping[str, Any], of: str) -> dict[str, Any]:
    """Return the content of a suite's twin, whose paths are still those of the suite."""
    kept = {key: value for key, value in content.items() if key not in ONLY_OF_THE_SUITE}
    twin = merged(kept, content["rehearse"])
    return twin | {"name": content["name"] + REHEARSAL, "rehearsal_of": of}


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `content` with `changes`, key by key inside of mappings; a change to None leaves an entry out."""
    result = dict(content)
    for key, change in changes.items():
        if change is None:
            result.pop(key, None)
        elif isinstance(change, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], change)
        else:
            result[key] = change
    return result


def with_stand_ins(twin: dict[str, Any], home: Path) -> None:
    """Write images and checkpoints below `home`, and have the twin name them, in place."""
    for name, entry in twin["datasets"].items():
        if "path" in (entry or {}):
            made = stand_ins.write_images(dataset_plugin(name, entry), home / "data" / name)
            twin["datasets"][name] = entry | made
    suite = Suite(str(home), twin)
    for name, entry in twin["priors"].items():
        side = suite.side(entry["dataset"])
        if "pipeline" in entry:
            made = stand_ins.write_pipeline_of(entry["pipeline"], side, home / "checkpoints" / name)
            twin["priors"][name] = entry | {"pipeline": made}
        elif has_weights(entry):
            twin["priors"][name] = narrow(entry, side)


def has_weights(entry: Mapping[str, Any]) -> bool:
    """Return whether a prior's entry names weights of a format other than diffusers', read by an adapter of its own."""
    return "weights" in entry and "file" not in entry


def narrow(entry: Mapping[str, Any], side: int | None) -> dict[str, Any]:
    """Return the entry of a prior with the same network at a fraction of its channels, and random weights."""
    return {"width": WIDTH, "side": side} | dict(entry) | {"weights": RANDOM}
