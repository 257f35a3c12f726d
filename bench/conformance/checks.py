"""Checks of plug-ins of any kind: a title, and a function that raises `Refused`, one line, where something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.conformance.trial import describe


class Refused(Exception):
    """The plug-in fails a check; the message is one line: what was expected, what came instead, what to do."""


class NotApplicable(Exception):
    """The check does not apply to this plug-in; the message gives the reason."""


@dataclass(frozen=True)
class Check:
    """A title and a function: `run(case)` returns what is printed beside "ok", or raises.

    gate: whether later checks are skipped when this one fails.
    """

    title: str
    run: Callable[[Any], str]
    gate: bool = False


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of one plug-in: `status` is ok, FAIL or skip."""

    title: str
    status: str
    words: str = ""

    def __str__(self) -> str:
        return f"{self.status:4} {self.title}" + (f": {self.words}" if self.words else "")


Follow = Callable[[str, Sequence[CheckResult]], None]


def run_checks(
    checks: Sequence[Check], case: object, path: Path, follow: Follow | None = None
) -> list[CheckResult]:
    """Return the results of the checks, in order. After a failed gate the others are skipped.

    case: the argument of each check. path: the plug-in's file; an error names the line of it that raised.
    follow: called before each check with its title and the results so far, and at the end with "" and all results.
    """
    results, broken = list[CheckResult](), ""
    for check in checks:
        if follow:
            follow(check.title, results)
        if broken:
            results.append(
                CheckResult(check.title, "skip", f"not checked before `{broken}` passes")
            )
            continue
        results.append(CheckResult(check.title, *_run(check, case, path)))
        if results[-1].status == "FAIL" and check.gate:
            broken = check.title
    if follow:
        follow("", results)
    return results


def _run(check: Check, case: object, path: Path) -> tuple[str, str]:
    """Return status and words of one check; an error that no check expects counts as the plug-in's failure."""
    try:
        return "ok", check.run(case)
    except Refused as words:
        return "FAIL", str(words)
    except NotApplicable as words:
        return "skip", str(words)
    # an interrupt, too, was raised by the plug-in: the user's own ends the process around this one
    except BaseException as error:
        return "FAIL", describe(error, path)


def require(condition: object, words: str) -> None:
    """Raise Refused with `words` unless the condition holds."""
    if not condition:
        raise Refused(words)
