"""Add methods to those in methods/ for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(name="drop_in")
def drop_in_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Return a function that adds a module to those in methods/, by its name and source."""
    monkeypatch.setenv("POSTERIOR_BENCH_PLUGINS", str(tmp_path))
    names = []

    def write(name: str, source: str) -> None:
        (tmp_path / "methods").mkdir(exist_ok=True)
        (tmp_path / "methods" / f"{name}.py").write_text(source)
        names.append(name)

    yield write
    for name in names:
        sys.modules.pop(f"methods.{name}", None)
