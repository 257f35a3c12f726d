"""Plug-ins by name: a file in the folder of its kind is its registration.

A plug-in is `<name>.py`, or a package `<name>/` where it has parts of its own. `__all__` holds one name, that of a
frozen dataclass whose fields are the plug-in's parameters. Files whose name starts with `_` are helpers, not plug-ins.
In a suite `-` and `_` are the same in a plug-in's name, so `inpaint-box` is inpaint_box.py. A name has letters, digits,
`-` and `_` only.

Plug-ins are loaded by name, never imported by the code that calls them, so that a new one reruns no other job.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

Kind = Literal["dataset", "prior", "operator", "metric", "figure", "method"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PACKAGES: dict[str, str] = {kind: f"bench.{kind}s" for kind in KINDS} | {"method": "methods"}
HELPERS = ("adapters",)  # packages inside a kind's folder that are no plug-ins
PLUGINS = "POSTERIOR_BENCH_PLUGINS"  # environment variable: a folder with plug-ins of the user
INSTALLED = Path(__file__).resolve().parents[2]  # the folder that holds bench/ and methods/


def folders(kind: Kind) -> list[Path]:
    """Return the folders of a kind, the user's own first, relative to the working directory where they lie in it.

    The user's are `methods/`, `operators/`, ... in the folder that POSTERIOR_BENCH_PLUGINS names or, with an installed
    copy, in the working directory.
    """
    own = os.path.join(os.environ.get(PLUGINS) or ".", PACKAGES[kind].rpartition(".")[2])
    return list(_folders(kind, os.getcwd(), own, PLUGINS in os.environ, os.path.isdir(own)))


@cache
def _folders(
    kind: Kind, working: str, own: str, is_named: bool, is_there: bool
) -> tuple[Path, ...]:
    """Return the folders of a kind, cached since a plan asks thousands of times; is_named: by the environment."""
    installed = INSTALLED.joinpath(*PACKAGES[kind].split("."))
    inside = installed.is_relative_to(working)
    own_folders = [Path(own)] if is_there and (is_named or not inside) else []
    return (*own_folders, installed.relative_to(working) if inside else installed)


def find(kind: Kind, name: str) -> Path | None:
    """Return the file of a plug-in, for a package its `__init__.py`; None when there is none of that name.

    A file with exactly this name comes before one in which `-` and `_` are exchanged.
    """
    wanted = name.replace("-", "_")
    for folder in folders(kind):
        stems = {entry.removesuffix(".py") for entry in os.listdir(folder)}
        same = [
            stem for stem in stems if stem.replace("-", "_") == wanted and not stem.startswith("_")
        ]
        for stem in sorted(same, key=lambda stem: (stem != name, stem)):
            for file in (f"{folder}/{stem}.py", f"{folder}/{stem}/__init__.py"):
                if os.path.isfile(file):
                    return Path(file)
    return None


def names(kind: Kind) -> list[str]:
    """Return the names of all plug-ins of a kind, sorted."""
    files = [
        file
        for folder in folders(kind)
        for file in (*folder.glob("[!_]*.py"), *folder.glob("*/__init__.py"))
    ]
    return sorted({name_of(file) for file in files} - {""})


def name_of(file: Path) -> str:
    """Return the name of the plug-in in a file; "" for a helper."""
    stem = file.parent.name if file.name == "__init__.py" else file.stem
    return "" if stem.startswith("_") or stem in HELPERS else stem


def plugin_of(kind: Kind, row: str) -> str:
    """Return the plug-in that the name of a row starts with: `dps` for `dps-n1000`, the longest that there is.

    A name that starts with no plug-in's is returned up to its first `-`.
    """
    parts = row.split("-")
    for length in range(len(parts), 0, -1):
        if find(kind, "-".join(parts[:length])):
            return "-".join(parts[:length])
    return parts[0]


def load(kind: Kind, name: str) -> type:
    """Return the class that a plug-in's file names in `__all__`; ValueError, one line, unless it names exactly one."""
    file = find(kind, name)
    if file is None:
        where = " or ".join(map(str, folders(kind)))
        raise ValueError(f"no {kind} {name} in {where}; expected one of {', '.join(names(kind))}")
    return load_file(file, f"{PACKAGES[kind]}.{name_of(file)}")


def load_file(file: Path, name: str) -> type:
    """Return the class that a file names in `__all__`, imported under a dotted name; ValueError as in `load`."""
    return exported_class(import_file(file, name), file)


def exported_class(module: ModuleType, file: Path) -> type:
    """Return the class that a module names in `__all__`; ValueError, one line, unless it names exactly one."""
    exported = getattr(module, "__all__", None)
    cls = None
    if isinstance(exported, (list, tuple)) and len(exported) == 1:
        cls = getattr(module, str(exported[0]), None)
    if not isinstance(cls, type):
        where = f"{file.parent.name}/{file.name}"
        raise ValueError(
            f"__all__ is {exported} in {where}; expected exactly one name, that of its class"
        )
    return cls


def build(kind: Kind, name: str, parameters: Mapping[str, object]) -> Any:
    """Return the plug-in with these parameters; ValueError, one line, for an unknown one or an impossible value."""
    return filled(load(kind, name), f"{kind} {name}", parameters)


def filled(cls: type, what: str, parameters: Mapping[str, object]) -> Any:
    """Return an object of a class with these parameters; ValueError, one line, which names `what`."""
    try:
        inspect.signature(cls).bind(**parameters)
    except TypeError as error:
        fields = ", ".join(inspect.signature(cls).parameters) or "none"
        raise ValueError(f"parameters of {what}: {error}; it has {fields}") from None
    return cls(**parameters)


def package_of(file: Path) -> str:
    """Return the package from which a plug-in imports its neighbours.

    Each folder of the user's is a package of its own, so that helpers of the same name in two folders are two modules.
    """
    plugin = file.resolve().parent if file.name == "__init__.py" else file.resolve()
    folder = plugin.parent
    if folder in {INSTALLED.joinpath(*package.split(".")) for package in PACKAGES.values()}:
        return ".".join(folder.relative_to(INSTALLED).parts)
    name = f"plugins_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        package = sys.modules[name] = ModuleType(name, f"Plug-ins in {folder}.")
        package.__path__ = [str(folder)]
    return name


def import_file(file: Path, name: str) -> ModuleType:
    """Return the module in a file, imported under a dotted name.

    Relative imports work, for parts of a package and for helpers beside the file (`from ._helper import f`).
    """
    installed = INSTALLED.joinpath(*name.split("."))
    if file.resolve() in (installed.with_suffix(".py"), installed / "__init__.py"):
        return importlib.import_module(name)
    name = f"{package_of(file)}.{name.rpartition('.')[2]}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(file.resolve()):
        return sys.modules[name]
    inside = [str(file.resolve().parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        name, file.resolve(), submodule_search_locations=inside
    )
    if spec is None or spec.loader is None:
        raise ValueError(f"{file}: is no Python file; give a plug-in the ending .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
