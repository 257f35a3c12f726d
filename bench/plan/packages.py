"""Find the versions of the packages that a method imports; a new version reruns the method."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from bench.core.provenance import PACKAGES
from bench.plan.sources import HOME, imported_packages


def packages_of(sources: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages that a method's own files import, by distribution, sorted.

    numpy and torch, on which all jobs depend, and packages that are not installed are left out.
    """
    files = [file for file in map(Path, sources) if not file.is_relative_to(HOME / "bench")]
    names = {name for file in files for name in imported_packages(file)} - set(PACKAGES)
    found = [_version(name) for name in sorted(names)]
    return dict(sorted(pair for pair in found if pair))


@cache
def _version(name: str) -> tuple[str, str] | None:
    """Return distribution and version of an imported package; None where it is not installed."""
    try:
        return name, version(name)
    except PackageNotFoundError:
        pass
    # this reads all that is installed, so it is tried second
    distributions = packages_distributions().get(name)
    return (distributions[0], version(distributions[0])) if distributions else None
