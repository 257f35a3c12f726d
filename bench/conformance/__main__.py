"""Check plug-ins, and print what passes and what does not: `python -m bench.conformance [--kind KIND] FILE ...`.

The kind of a file (method, operator, prior, ...) follows from its folder; elsewhere it is taken for a method.
A bare name such as `dps` is one of the project's methods, or with --kind a plug-in of that kind. Without arguments all
methods are checked, or with --kind all plug-ins of that kind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.conformance import check
from bench.core.errors import UserError
from bench.core.registry import KINDS, Kind, find, names
from bench.runtime.job import run


def main(*arguments: str) -> None:
    """Check the plug-ins named in the command line; exit status 1 when one fails a check."""
    kind, files = _split(list(arguments))
    num_failed = 0
    for path in [_path(file, kind or "method") for file in files or names(kind or "method")]:
        print(path, flush=True)
        results = check(path, kind)
        print(*(f"  {result}" for result in results), sep="\n")
        failed = sum(result.status == "FAIL" for result in results)
        print(f"  {failed} of {len(results)} checks failed" if failed else "  conforms", flush=True)
        num_failed += bool(failed)
    sys.exit(1 if num_failed else 0)


def _split(arguments: list[str]) -> tuple[Kind | None, list[str]]:
    """Return the value of --kind and the other arguments."""
    if "--kind" not in arguments:
        return None, arguments
    i = arguments.index("--kind")
    given = arguments[i + 1] if i + 1 < len(arguments) else ""
    kind = next((kind for kind in KINDS if kind == given), None)
    if kind is None:
        raise UserError(f"--kind {given}: expected one of {', '.join(KINDS)}")
    return kind, arguments[:i] + arguments[i + 2 :]


def _path(name: str, kind: Kind) -> Path:
    path = Path(name) if name.endswith(".py") else find(kind, name)
    if path is None or not path.is_file():
        raise UserError(
            f"{path or name}: no such file; give the path of a .py file or one of {', '.join(names(kind))}"
        )
    return path


if __name__ == "__main__":
    run(main)
