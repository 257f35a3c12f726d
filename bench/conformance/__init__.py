"""The checks that every plug-in passes, ours and a user's alike: `check(path)`, or `python -m bench.conformance path`.

Those of methods are in `module.py` and `samples.py`, those of another kind in the module of its name, `operators.py`.
A plug-in that fails one is refused in words and never stops the suite.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from bench.conformance.case import Case
from bench.conformance.checks import CheckResult, run_checks
from bench.conformance.module import MODULE_CHECKS
from bench.conformance.samples import SAMPLE_CHECKS
from bench.core.registry import PACKAGES, Kind, find, names


def check(
    path: str | Path, kind: Kind | None = None, settings: Mapping[str, object] | None = None
) -> list[CheckResult]:
    """Return the results of every check on the plug-in in a file; its kind follows from its folder unless it is given.

    settings: hyperparameters of a method that differ from its defaults. After a check on which the others rest fails,
    they are skipped.
    """
    path = Path(path).resolve()
    kind = kind or kind_of(path)
    if kind == "method":
        return run_checks(MODULE_CHECKS + SAMPLE_CHECKS, Case(path, settings or {}), path)
    module = importlib.import_module(f"bench.conformance.{kind}s")
    return run_checks(module.CHECKS, module.CASE(path, kind), path)


def kind_of(path: Path) -> Kind:
    """Return the kind of plug-in that the folder of a file is for; a method where the folder is for none."""
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    kinds = {package.rpartition(".")[2]: kind for kind, package in PACKAGES.items()}
    return kinds.get(folder.name, "method")


def method_paths() -> list[Path]:
    """Return the files of all methods, a package's `__init__.py`."""
    return [path for name in names("method") if (path := find("method", name))]
