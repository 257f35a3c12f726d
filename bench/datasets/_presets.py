"""Data sets that are folders with some of the parameters fixed."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.datasets.folder import Folder


def as_folder(preset: Any, **fixed: Any) -> Folder:
    """Return the folder that a dataclass describes: its fields of the same names as those of `Folder`, and `fixed`."""
    names = {field.name for field in dataclasses.fields(Folder)}
    shared = [field.name for field in dataclasses.fields(preset) if field.name in names]
    return Folder(**{name: getattr(preset, name) for name in shared} | fixed)
