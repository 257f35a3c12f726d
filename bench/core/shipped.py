"""Files that are not modules: the Snakefile, suites, profiles and published numbers.

In a checkout they lie beside bench/, in an installed copy in bench/shipped/.
"""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
HOMES = (PACKAGE / "shipped", PACKAGE.parent)


def shipped(name: str) -> Path:
    """Return the path of a file or folder, e.g. `Snakefile` or `config/default.yaml`.

    The one in the working directory comes first, so that a project may have suites of its own, then the installed one.
    Raises UserError where there is none.
    """
    places = [Path(name), *(home / name for home in HOMES)]
    for place in places:
        if place.exists():
            return place
    raise UserError(f"{name}: is neither in the working directory nor in the installed copy ({HOMES[0]})")
