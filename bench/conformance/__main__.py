"""`python -m bench.conformance path/to/their_method.py ...`: what passed and what did not, in words.

A bare name such as `dps` means methods/dps.py; without arguments every module in methods/ is checked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.conformance import check, method_paths
from bench.core.errors import UserError
from bench.core.registry import find, names
from bench.runtime.job import run


def main(*names: str) -> None:
    num_failed = 0
    for path in [_path(name) for name in names] or method_paths():
        print(path, flush=True)
        outcomes = check(path)
        print(*(f"  {outcome}" for outcome in outcomes), sep="\n")
        failed = sum(outcome.status == "FAIL" for outcome in outcomes)
        print(f"  {failed} of {len(outcomes)} checks failed" if failed else "  conforms", flush=True)
        num_failed += bool(failed)
    sys.exit(1 if num_failed else 0)


def _path(name: str) -> Path:
    path = Path(name) if name.endswith(".py") else find("method", name)
    if path is None or not path.is_file():
        known, path = ", ".join(names("method")), path or f"methods/{name}.py"
        raise UserError(f"{path}: no such file; give the path of a .py file or one of {known}")
    return path


if __name__ == "__main__":
    run(main)
