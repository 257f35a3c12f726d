"""The jobs of a suite as plain commands for a machine without Snakemake, each after those whose outputs it reads.

tests/plan/test_commands.py compares them with the jobs that Snakemake plans.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.retries import retry_file
from bench.plan import Suite, load
from bench.plan.folder import check_artefacts, lock_folder, write_specs
from bench.plan.products import damaged_products, refuse_folders
from bench.plan.rules import ON_REQUEST, Rules


@dataclass(frozen=True)
class Job:
    """One command: the stage, its spec, what it writes, and a further argument. Without outputs it is always due."""

    stage: str
    spec: str
    outputs: tuple[str, ...] = ()
    argument: str = ""

    def __str__(self) -> str:
        words = ["python", "-m", f"bench.stages.{self.stage}", self.spec, *self.argument.split()]
        return shlex.join(words)

    @property
    def is_done(self) -> bool:
        """Return whether all outputs are newer than the spec, and than the note of a failure to be tried again.

        Source files are not considered.
        """
        written = Path(self.spec).stat().st_mtime
        paths = [Path(output) for output in self.outputs]
        noted = retry_file(paths[0]) if paths else None
        if noted and noted.exists() and paths[0].exists():
            written = max(written, noted.stat().st_mtime)
        return bool(paths) and all(
            path.exists() and path.stat().st_mtime >= written for path in paths
        )


def write_commands(suite: str) -> None:
    """Write the specs of a suite and print the commands that are left to do."""
    loaded = load({"suite": suite})
    rules = Rules(loaded)
    refuse_folders(rules)
    check_artefacts(rules)
    lock = lock_folder(loaded.root)  # refused during a run, whose specs must not change
    write_specs(loaded)
    os.close(lock)
    damaged = damaged_products(rules)
    for job in jobs(loaded):
        if not job.is_done or damaged.intersection(job.outputs):
            print(job, flush=True)


def jobs(suite: Suite) -> Iterator[Job]:
    """Yield all jobs of a suite but its searches for settings.

    Jobs that gather runs have no outputs here, so that they are always made again.
    """
    rules = Rules(suite)
    for rule in rules.all.values():
        for case in rule.cases if rule.stage not in ON_REQUEST else ():
            outputs = () if rule.gathers else tuple(path.format(**case) for path in rule.outputs)
            yield Job(
                rule.stage, rules.spec_path(rule.stage, case), outputs, rule.argument.format(**case)
            )
