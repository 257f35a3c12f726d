"""From a suite's YAML to what the workflow needs: specs, paths, source files and targets. Imports nothing heavy.

`start` is what the Snakefile calls. In Snakemake's main process it also checks that the artefacts made so far are
whole, and writes the spec files, each only when its content changed, so that nothing else reruns.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.artefacts import ArtefactError
from bench.core.errors import UserError
from bench.plan.config import read_suite
from bench.plan.folder import check_artefacts, claim, write_specs
from bench.plan.suite import Suite

__all__ = ["Suite", "load", "start"]


def load(config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()) -> Suite:
    """The suite chosen on Snakemake's command line; UserError, one line with file and key, when it makes no sense."""
    return Suite(*read_suite(config, configfiles))


def start(config: Mapping[str, Any], configfiles: Sequence[str | Path], main_process: bool) -> Suite:
    """`load`, then make the suite's folder ready. Exits with one line when something is wrong."""
    try:
        suite = load(config, configfiles)
        if main_process:
            claim(suite.root)
            _refuse_absent_weights(suite)
            check_artefacts(suite.root)
            write_specs(suite)
        return suite
    except (UserError, ArtefactError) as error:
        sys.exit(f"error: {error}")


def _refuse_absent_weights(suite: Suite) -> None:
    for line in suite.absent_weights:
        raise UserError(f"{suite.file}: metrics: {line}; or set offline: true there")
