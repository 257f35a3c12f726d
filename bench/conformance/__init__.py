"""The checks that every method passes, ours and a user's alike: `check(path)`, or `python -m bench.conformance path`.

The checks of the module are in `module.py`, those of its samples in `samples.py`. A method that fails one is
refused in words and never stops the suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.conformance.case import Case, Check, NotApplicable, Refused
from bench.conformance.module import MODULE_CHECKS
from bench.conformance.samples import SAMPLE_CHECKS
from bench.conformance.trial import in_words
from bench.core.registry import find, names


@dataclass(frozen=True)
class Outcome:
    """One check of one method: `status` is ok, FAIL or skip."""

    title: str
    status: str
    words: str = ""

    def __str__(self) -> str:
        return f"{self.status:4} {self.title}" + (f": {self.words}" if self.words else "")


def check(path: str | Path) -> list[Outcome]:
    """Every check on the method in a file, in order. After a check on which the others rest fails, they are skipped."""
    case, outcomes, broken = Case(Path(path).resolve()), [], ""
    for test in MODULE_CHECKS + SAMPLE_CHECKS:
        if broken:
            outcomes.append(Outcome(test.title, "skip", f"not checked before `{broken}` passes"))
            continue
        outcomes.append(Outcome(test.title, *_run(test, case)))
        if outcomes[-1].status == "FAIL" and test.gate:
            broken = test.title
    return outcomes


def _run(test: Check, case: Case) -> tuple[str, str]:
    try:
        return "ok", test.run(case)
    except Refused as words:
        return "FAIL", str(words)
    except NotApplicable as words:
        return "skip", str(words)
    except Exception as error:  # a surprise in a check is the method's failure, not the suite's
        return "FAIL", in_words(error, case.path)


def method_paths() -> list[Path]:
    """The modules in methods/, one per method."""
    return [find("method", name) for name in names("method")]
