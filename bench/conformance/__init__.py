"""Check a method, ours or a user's: `check(path)`, or `python -m bench.conformance path`.

The checks of the module are in `module.py`, those of its samples in `samples.py`. A failed check says in one line what
was expected and what to do; it never stops the suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.conformance.case import Case, Check, NotApplicable, Refused
from bench.conformance.module import MODULE_CHECKS
from bench.conformance.samples import SAMPLE_CHECKS
from bench.conformance.trial import describe
from bench.core.registry import find, names


@dataclass(frozen=True)
class CheckResult:
    """One check of one method: `status` is ok, FAIL or skip; `message` says why."""

    title: str
    status: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.status:4} {self.title}" + (f": {self.message}" if self.message else "")


def check(path: str | Path, settings: Mapping[str, object] | None = None) -> list[CheckResult]:
    """Run every check, in order, on the method in a file; settings: hyperparameters that differ from its defaults.

    After a failed check on which the others rest, they are skipped.
    """
    case, results, broken = Case(Path(path).resolve(), settings or {}), [], ""
    for test in MODULE_CHECKS + SAMPLE_CHECKS:
        if broken:
            results.append(CheckResult(test.title, "skip", f"not checked before `{broken}` passes"))
            continue
        results.append(CheckResult(test.title, *_run(test, case)))
        if results[-1].status == "FAIL" and test.gate:
            broken = test.title
    return results


def _run(test: Check, case: Case) -> tuple[str, str]:
    """Return status and message of one check."""
    try:
        return "ok", test.run(case)
    except Refused as refusal:
        return "FAIL", str(refusal)
    except NotApplicable as reason:
        return "skip", str(reason)
    except Exception as error:  # a surprise in a check is the method's failure, not the suite's
        return "FAIL", describe(error, case.path)


def method_paths() -> list[Path]:
    """Return the files of all methods, a package's `__init__.py`."""
    return [path for name in names("method") if (path := find("method", name))]
