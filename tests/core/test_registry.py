"""Plug-ins by name: which files count, and which spellings of their names find them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.conforming_method import GOOD, refusals_of

from bench.conformance import check
from bench.core import registry

NAMES = ("my-own_method", "2steps", "x")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """Make a user's folder with methods of legal names, and a helper."""
    folder = tmp_path / "methods"
    folder.mkdir()
    for name in (*NAMES, "_helper"):
        (folder / f"{name}.py").write_text(GOOD)
    monkeypatch.setenv(registry.PLUGINS, str(tmp_path))
    return folder


def test_letters_digits_underscores_and_hyphens_make_a_name(folder):
    assert set(NAMES) <= set(registry.names("method")) and "_helper" not in registry.names("method")
    for name in NAMES:
        assert registry.load("method", name).__name__ == "Good"
        assert registry.plugin_of("method", f"{name}-slow") == name


@pytest.mark.parametrize("spelling", ["my-own_method", "my-own-method", "my_own_method"])
def test_hyphens_and_underscores_are_the_same(folder, spelling):
    assert registry.find("method", spelling) == folder / "my-own_method.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_any_legal_name_conforms(folder, name):
    assert refusals_of(check(folder / f"{name}.py")) == []


def test_other_characters_are_refused(tmp_path):
    (tmp_path / "my method.py").write_text(GOOD)
    (refusal,) = refusals_of(check(tmp_path / "my method.py"))
    assert "my method.py: use letters, digits, _ and - only" in refusal
