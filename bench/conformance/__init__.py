"""The checks that every plug-in passes, ours and a user's alike: `check(path)`, or `python -m bench.conformance path`.

The checks of methods are in `module.py` and `samples.py`, those of another kind in the module named after it
(`operators.py`, `priors.py`, ...). A plug-in that fails is refused with a message; other plug-ins are still checked.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from bench.conformance.case import Case
from bench.conformance.checks import CheckResult, Follow, run_checks
from bench.conformance.module import MODULE_CHECKS
from bench.conformance.samples import SAMPLE_CHECKS
from bench.core.registry import KINDS, PACKAGES, Kind, find, names


def check(
    path: str | Path,
    kind: Kind | None = None,
    settings: Mapping[str, object] | None = None,
    follow: Follow | None = None,
) -> list[CheckResult]:
    """Return the results of every check on the plug-in in a file; its kind follows from its folder unless it is given.

    settings: hyperparameters of a method that differ from its defaults. follow: as in `run_checks`. Where a check fails
    on which later ones rest, those are skipped. The checks run in this process; `contained.check_contained` starts
    another process for them.
    """
    path = Path(path).resolve()
    kind = kind or kind_of_file(path)
    if kind == "method":
        return run_checks(MODULE_CHECKS + SAMPLE_CHECKS, Case(path, settings or {}), path, follow)
    module = importlib.import_module(f"bench.conformance.{kind}s")
    return run_checks(module.CHECKS, module.CASE(path, kind), path, follow)


def kind_of_file(path: Path) -> Kind:
    """Return the kind of a plug-in, which its folder names; a file in any other folder is taken for a method."""
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    named = (kind for kind in KINDS if PACKAGES[kind].rpartition(".")[2] == folder.name)
    return next(named, "method")


def method_paths() -> list[Path]:
    """Return the files of all methods; of a method that is a package, its `__init__.py`."""
    return [path for name in names("method") if (path := find("method", name))]
