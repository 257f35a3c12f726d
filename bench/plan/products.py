"""The products of a run (tables, figures and pages), which are made again when truncated, edited or removed.

They take seconds to make, so the user need not delete damaged ones first, unlike other artefacts
(`folder.check_artefacts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from bench.core.artefacts import ArtefactError, check_recorded
from bench.plan.rules import Rules

STAGES = ("tables", "published", "claims", "timing", "figure", "grid", "toy", "report")
WITH_RECORD = (".csv", ".html")  # of a job's outputs, the first of these has a record of the others


def damaged_products(rules: Rules) -> set[str]:
    """Return an output of each job whose products exist but differ from what was written. Writes nothing.

    Where a spec has been deleted, the page counts as damaged: specs are written when a run begins, and a run in which
    nothing is to be done does not begin.
    """
    paths = [path for path in _recorded(rules) if Path(path).exists()]
    with ThreadPoolExecutor() as pool:  # hashes are computed outside the interpreter's lock
        intact = pool.map(_is_intact, paths)
    damaged = {path for path, good in zip(paths, intact, strict=True) if not good}
    if not all(Path(path).exists() for path in rules.specs):
        damaged.update(path for path in rules.made("report") if Path(path).exists())
    return damaged


def refuse_folders(rules: Rules) -> None:
    """Raise ArtefactError, naming it, for a folder in place of an artefact, which Snakemake would take for the file."""
    records = (f"{path}.info.json" for path in _recorded(rules))
    for path in chain(rules.made(*rules.all), records):
        if Path(path).is_dir():
            raise ArtefactError(
                f"{path}: is a folder, and a file belongs there; delete it and run the same command again"
            )


def _recorded(rules: Rules) -> Iterator[str]:
    for stage in STAGES:
        rule = rules.all[stage]
        main = [path for path in rule.outputs if path.endswith(WITH_RECORD)][:1]
        yield from (path.format(**case) for path in main for case in rule.cases)


def _is_intact(path: str) -> bool:
    try:
        check_recorded(path)
    except ArtefactError:
        return False
    return True
