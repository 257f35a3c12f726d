"""Find paths in a suite where no file is, so that a misspelt one is reported before any work."""

from __future__ import annotations

from pathlib import Path

from bench.core.checkpoints import CHECKPOINTS
from bench.core.errors import UserError
from bench.core.layout import REFERENCE
from bench.plan.paper_faults import RANDOM
from bench.plan.suite import Suite

WHAT = {"path": "its images", "pipeline": "a folder of diffusers", "weights": "a file of weights"}


def missing_files(suite: Suite) -> dict[tuple[str, str], str]:
    """Return a line for each data set and prior of a task that is not made yet and whose files are not there.

    Hub ids (`owner/name`) and names of public checkpoints are left to the job that opens them.
    """
    found = {}
    for dataset in sorted(suite.datasets_of_tasks & suite.content["datasets"].keys()):
        entry = suite.content["datasets"][dataset] or {}
        if not entry.get("fetch") and not suite.layout.data(dataset).exists():
            found["datasets", dataset] = _line(suite, "datasets", dataset, "path", entry)
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
