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
    raise UserError(
        f"{name}: is neither in the working directory nor in the installed copy ({HOMES[0]})"
    )


def suite_file(suite: str) -> Path:
    """Return the YAML of a suite, a name in config/ or the path of a file; UserError, one line, where it is neither."""
    if suite.endswith((".yaml", ".yml")):
        return shipped(suite)
    try:
        return shipped(f"config/{suite}.yaml")
    except UserError as error:
        names = sorted(
            {path.stem for home in (Path(), *HOMES) for path in (home / "config").glob("*.yaml")}
        )
        raise UserError(f"{error}; expected a file's path or one of {', '.join(names)}") from None
