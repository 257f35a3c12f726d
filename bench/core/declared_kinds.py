"""Kinds of methods by their names, read from their sources: pages and tables need no torch."""

from __future__ import annotations

from bench.core.kinds import KINDS, OTHER
from bench.core.registry import find, load, plugin_of
from bench.core.source import read_source


def declared_kind(name: str) -> str:
    """Return the kind of a method with its default settings, from its source where it is a class variable."""
    file = find("method", name)
    source = read_source(file) if file else None
    kind = source.constant("kind") if source else None
    if source and "kind" in source.functions:
        kind = load("method", name)().kind
    return str(kind) if kind in KINDS else OTHER


def kind_of_row(row: str) -> str:
    """Return the kind of the method that the name of a row starts with: that of `dps` for `dps-n1000`."""
    return declared_kind(plugin_of("method", row))
