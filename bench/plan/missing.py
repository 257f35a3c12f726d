"""Find paths in a suite where no file is, and folders with too few images, before any work is done."""

from __future__ import annotations

import itertools
from pathlib import Path

from bench.core.checkpoints import CHECKPOINTS
from bench.core.errors import UserError
from bench.core.folders import names_below
from bench.core.layout import REFERENCE
from bench.plan.paper_faults import RANDOM
from bench.plan.schema import dataset_plugin
from bench.plan.sizes import number_of
from bench.plan.suite import Suite

IMAGES = (".png", ".jpg", ".jpeg")
WHAT = {"path": "its images", "pipeline": "a folder of diffusers", "weights": "a file of weights"}


def missing_files(suite: Suite) -> dict[tuple[str, str], str]:
    """Return a line for each data set and prior of a task that is not made yet and whose files are not there.

    Hub ids (`owner/name`) and names of public checkpoints are left to the job that opens them.
    """
    found = {}
    for dataset in sorted(suite.datasets_of_tasks & suite.content["datasets"].keys()):
        entry = suite.content["datasets"][dataset] or {}
        if not entry.get("fetch") and not suite.layout.data(dataset).exists():
            line = _line(suite, "datasets", dataset, "path", entry)
            found["datasets", dataset] = line or _too_few(suite, dataset, entry)
    for prior in sorted(suite.priors_of_tasks):
        entry = suite.content["priors"][prior]
        if not suite.layout.prior(prior, entry["family"]).exists():
            for key in ("pipeline", "weights"):
                if _is_local(key, entry.get(key)):
                    found["priors", prior] = _line(suite, "priors", prior, key, entry)
    return {part: line for part, line in found.items() if line}


def refuse_hopeless(suite: Suite) -> None:
    """Raise UserError, one line, where files are missing for every task."""
    missing = missing_files(suite)
    lost = [
        task
        for task in suite.tasks
        if {
            ("priors", suite.prior_of(task)),
            ("datasets", suite.dataset_of(suite.prior_of(task))),
        }
        & missing.keys()
    ]
    if lost and lost == suite.tasks:
        raise UserError(next(iter(missing.values())))


def _is_local(key: str, value: object) -> bool:
    """Return whether a string can only be the path of a file or folder on this machine."""
    if not isinstance(value, str) or value == RANDOM or value in CHECKPOINTS:
        return False
    if value.startswith(f"{REFERENCE}/"):  # it ships
        return False
    may_be_of_hub = key == "pipeline" and value.count("/") == 1 and value[0] not in "./~"
    return not may_be_of_hub or Path(value).parent.is_dir()


def _line(suite: Suite, kind: str, name: str, key: str, entry: dict) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or Path(value).expanduser().exists():
        return ""
    where = "" if value.startswith(("/", "~")) else f", seen from {Path.cwd()}"
    return f"{suite.file}: {kind}.{name}.{key}: nothing is at {value}{where}; expected {WHAT[key]}"


def _too_few(suite: Suite, dataset: str, entry: dict) -> str:
    """Return a line if a folder has no image left for training after those held out, else ""; lists are not read."""
    if dataset_plugin(dataset, entry) != "folder" or entry.get("names") or entry.get("split"):
        return ""
    parts = (number_of(dataset, entry, f"num_{part}") for part in ("test", "validation"))
    held_out = sum(num or 0 for num in parts)
    path = Path(entry["path"]).expanduser()
    images = (name for name in names_below(path) if name.lower().endswith(IMAGES))
    found = len(list(itertools.islice(images, entry.get("offset", 0) + held_out + 1)))
    left = min(found - entry.get("offset", 0), entry.get("limit") or found)
    if left > held_out:
        return ""
    where = f"{suite.file}: datasets.{dataset}"
    if not found:
        return f"{where}.path: no PNG or JPEG is below {entry['path']}; expected {WHAT['path']}"
    return (
        f"{where}: {max(left, 0)} images of {entry['path']} can be taken, expected more than num_test + num_validation "
        f"= {held_out}, the others being for training; lower these two, or add images"
    )
