"""From a suite's YAML to what the workflow needs: specs, paths, source files and targets. Imports nothing heavy.

`open_suite` only reads; `begin` makes the suite's folder ready when jobs are about to run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.artefacts import ArtefactError
from bench.core.errors import UserError
from bench.plan.config import read_suite
from bench.plan.folder import check_artefacts, lock_folder, write_specs
from bench.plan.suite import Suite

__all__ = ["NAME", "Suite", "begin", "load", "open_suite"]

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"  # of what a suite names, as a wildcard


def load(config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()) -> Suite:
    """Return the suite chosen on Snakemake's command line; UserError, one line with file and key, when it is wrong."""
    return Suite(*read_suite(config, configfiles))


def open_suite(config: Mapping[str, Any], configfiles: Sequence[str | Path], check: bool) -> Suite:
    """Return the suite; with `check`, after its weights and its artefacts were found whole. Exits with one line.

    Writes nothing, takes no lock, and so may be called while the suite is running.
    """
    try:
        suite = load(config, configfiles)
        if check:
            for line in suite.absent_weights:
                raise UserError(f"{suite.file}: metrics: {line}; or set offline: true there")
            check_artefacts(suite.root)
        return suite
    except (UserError, ArtefactError) as error:
        sys.exit(f"error: {error}")


def begin(suite: Suite) -> None:
    """Lock the suite's folder until this process ends, and write the specs that changed. Exits with one line."""
    try:
        lock_folder(suite.root)
        write_specs(suite)
    except (UserError, ArtefactError) as error:
        sys.exit(f"error: {error}")
