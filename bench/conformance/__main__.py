"""Check plug-ins, and print which checks pass and which fail.

    python -m bench.conformance [--kind KIND] [--seconds SECONDS] FILE ...

The kind of a file (method, operator, prior, ...) follows from its folder; in any other folder it is taken for a method.
A bare name such as `dps` is one of the project's methods, or with --kind a plug-in of that kind. Without arguments all
methods are checked, or with --kind all plug-ins of that kind. Each plug-in has a process of its own, and each check may
take --seconds: by default 60 for a method, 600 for a plug-in of another kind.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from bench.conformance.contained import check_contained
from bench.core.errors import UserError
from bench.core.registry import KINDS, Kind, find, names
from bench.runtime.job import run


def main(*arguments: str) -> None:
    """Check the plug-ins named in the command line; exit status 1 when one fails a check."""
    seconds, rest = _taken(list(arguments), "--seconds")
    kind, files = _split(rest)
    num_failed = 0
    for path in [_path(file, kind or "method") for file in files or names(kind or "method")]:
        print(path, flush=True)
        results = check_contained(path, kind, _number(seconds) if seconds else None)
        failed = sum(result.status == "FAIL" for result in results)
        print(f"  {failed} of {len(results)} checks failed" if failed else "  conforms", flush=True)
        num_failed += bool(failed)
    sys.exit(1 if num_failed else 0)


def _split(arguments: list[str]) -> tuple[Kind | None, list[str]]:
    """Return the value of --kind and the other arguments."""
    given, rest = _taken(arguments, "--kind")
    kind = next((kind for kind in KINDS if kind == given), None)
    if given is not None and kind is None:
        raise UserError(f"--kind {given}: expected one of {', '.join(KINDS)}")
    return kind, rest


def _taken(arguments: list[str], option: str) -> tuple[str | None, list[str]]:
    """Return the value of an option, None where it is not given, and the other arguments."""
    if option not in arguments:
        return None, arguments
    i = arguments.index(option)
    return "".join(arguments[i + 1 : i + 2]), arguments[:i] + arguments[i + 2 :]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise UserError(f"--seconds {text}: expected a number above 0")
    return number


def _path(name: str, kind: Kind) -> Path:
    path = Path(name) if name.endswith(".py") else find(kind, name)
    if path is None or not path.is_file():
        raise UserError(
            f"{path or name}: no such file; give the path of a .py file or one of {', '.join(names(kind))}"
        )
    return path


if __name__ == "__main__":
    run(main)
