"""A row's jobs depend on helpers of its method and on the versions of packages that the method imports."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from bench.core.registry import PLUGINS, load
from bench.plan.packages import packages_of
from bench.plan.sources import sources_of

HELPER = "import scipy.stats\nSCALE = 0.5\n"
METHOD = """from dataclasses import dataclass
import json
import torch
import absent_package
from bench.numerics import chunks  # noqa: F401
from ._scales import SCALE

__all__ = ["Mine"]

@dataclass(frozen=True)
class Mine:
    scale: float = SCALE
"""


@pytest.fixture
def method(tmp_path) -> Path:
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / "_scales.py").write_text(HELPER)
    (folder / "mine.py").write_text(METHOD)
    return folder / "mine.py"


def test_a_helper_next_to_a_users_method_is_among_its_sources(method):
    sources = sources_of(str(method))
    assert str(method.parent / "_scales.py") in sources
    assert os.path.join("bench", "numerics", "chunks.py") in sources


def test_parts_of_a_package_of_the_user_are_among_its_sources(tmp_path):
    package = tmp_path / "methods" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .part import x\nfrom .._scales import y\n")
    (package / "part.py").write_text("from . import deep\nx = 1\n")
    (package / "deep.py").write_text("")
    (package.parent / "_scales.py").write_text("y = 1\n")
    found = {Path(file).name for file in sources_of(str(package / "__init__.py"))}
    assert found == {"__init__.py", "part.py", "deep.py", "_scales.py"}


def test_versions_of_packages_that_a_method_imports_are_found(method):
    """Through its helper as well; not those of the standard library, of torch, or of what is not installed."""
    assert packages_of(sources_of(str(method))) == {"scipy": version("scipy")}


def test_a_method_loads_with_its_helper(method, monkeypatch):
    method.write_text(METHOD.replace("import absent_package\n", ""))
    monkeypatch.setenv(PLUGINS, str(method.parent.parent))
    assert load("method", "mine")().scale == 0.5
