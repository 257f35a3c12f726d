"""Check methods: `python -m bench.conformance path/to/their_method.py ...` prints what passed and what did not.

A bare name such as `dps` means methods/dps.py; without arguments every module in methods/ is checked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.conformance import check, method_paths
from bench.core.errors import UserError
from bench.core.registry import find, names
from bench.runtime.job import run


def main(*arguments: str) -> None:
    num_failed = 0
    for path in [_path(name) for name in arguments] or method_paths():
        print(path, flush=True)
        results = check(path)
        print(*(f"  {result}" for result in results), sep="\n")
        failed = sum(result.status == "FAIL" for result in results)
        print(f"  {failed} of {len(results)} checks failed" if failed else "  conforms", flush=True)
        num_failed += bool(failed)
    sys.exit(1 if num_failed else 0)


def _path(name: str) -> Path:
    """Return the file of a method given by its name or path; UserError when there is none."""
    path = Path(name) if name.endswith(".py") else find("method", name)
    if path is None or not path.is_file():
        known, path = ", ".join(names("method")), path or f"methods/{name}.py"
        raise UserError(f"{path}: no such file; give the path of a .py file or one of {known}")
    return path


if __name__ == "__main__":
    run(main)
