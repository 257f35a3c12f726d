"""From a suite's YAML to what the workflow needs: specs, paths, source files and targets. Imports nothing heavy.

`open_suite` only reads; `begin` makes the suite's folder ready when jobs are about to run.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.artefacts import ArtefactError
from bench.core.errors import UserError
from bench.core.job_costs import WORK_LOG
from bench.plan.config import read_suite
from bench.plan.folder import check_artefacts, lock_folder, sound_specs, write_specs
from bench.plan.inputs import Inputs
from bench.plan.missing import missing_files, refuse_hopeless
from bench.plan.products import damaged_products, refuse_folders
from bench.plan.record import refuse_unrecorded_changes
from bench.plan.rules import Rules
from bench.plan.suite import Suite

__all__ = [
    "NAME",
    "Suite",
    "begin",
    "damaged_products",
    "load",
    "one_of",
    "open_suite",
    "refuse_unshared_files",
    "try_out",
]

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"  # of what a suite names, as a wildcard


def load(config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()) -> Suite:
    """Return the suite chosen on Snakemake's command line; UserError, one line with file and key, when it is wrong."""
    return Suite(*read_suite(config, configfiles))


def open_suite(
    config: Mapping[str, Any], configfiles: Sequence[str | Path], check: bool
) -> tuple[Suite, Inputs, Rules]:
    """Return the suite, the inputs of its jobs and its rules. Exits with one line when something is wrong.

    check: whether weights that metrics need and the artefacts in the suite's folder are checked as well, and whether
    they were made with these specs where Snakemake does not know.

    Writes nothing, takes no lock, and so may be called while the suite is running.
    """
    gc.disable()  # until `begin`: what a plan makes stays, and collecting garbage takes a fifth of its time
    try:
        suite = load(config, configfiles)
        rules = Rules(suite)
        if check:
            for line in suite.absent_weights:
                raise UserError(
                    f"{suite.file}: metrics: {line}; or set absent_weights: allow there"
                )
            refuse_folders(rules)
            check_artefacts(rules)
            refuse_unrecorded_changes(rules)
            for line in missing_files(suite).values():
                print(f"warning: {line}", file=sys.stderr)
        return suite, Inputs(suite), rules
    except (UserError, ArtefactError) as error:
        sys.exit(f"error: {error}")


def refuse_unshared_files(shared: Iterable[Any]) -> None:
    """Exit with one line where jobs do not see the files of this machine. shared: Snakemake's --shared-fs-usage."""
    if "INPUT_OUTPUT" not in {usage.name for usage in shared}:
        sys.exit(
            "error: jobs also read files that no rule declares (specs, records), so they need a file system which all "
            "machines share; use an executor that does not do without one"
        )


def one_of(names: Iterable[str]) -> str:
    """Return the pattern of a wildcard for one of these names; without names, a pattern that matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def try_out(suite: Suite) -> None:
    """Raise UserError, one line, for what a run would refuse at its start. Writes nothing and takes no lock.

    Files may be missing: a suite is planned before its images and weights are fetched.
    """
    sound_specs(suite)


def begin(suite: Suite) -> None:
    """Lock the suite's folder until this process ends, and write the specs that changed. Exits with one line.

    It also tells the jobs where to log what they take.
    """
    gc.enable()
    os.environ.setdefault(WORK_LOG, str(suite.layout.job_log))
    try:
        refuse_hopeless(suite)
        lock_folder(suite.root)
        write_specs(suite)
    except (UserError, ArtefactError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:  # a disk that is full or read-only
        sys.exit(f"error: {error.filename or suite.root}: {str(error.strerror).lower()}")
