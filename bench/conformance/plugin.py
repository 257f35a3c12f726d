"""The checks that come first for plug-ins of every kind but methods: the file, its class, its parameters."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.conformance.checks import Check, Refused, require
from bench.conformance.readable import refuse_unreadable
from bench.core.registry import PACKAGES, Kind, load_file, name_of
from bench.core.source import read_source


@dataclass(frozen=True)
class PluginCase:
    """The file of a plug-in of one kind; its class and object are made when a check first needs them."""

    path: Path
    kind: Kind

    @cached_property
    def cls(self) -> type:
        """Return the class that `__all__` names."""
        try:
            return load_file(self.path, f"{PACKAGES[self.kind]}.{name_of(self.path)}")
        except ValueError as error:
            raise Refused(str(error)) from None

    @cached_property
    def files(self) -> Any:
        """Return the folder in which `tiny` writes the files that it needs."""
        return tempfile.TemporaryDirectory()

    @cached_property
    def tiny(self) -> dict[str, Any]:
        """Return the parameters in the class variable `tiny`, or what it returns where it is a function of a folder."""
        tiny: Any = getattr(self.cls, "tiny", {})
        return dict(tiny) if isinstance(tiny, Mapping) else tiny(Path(self.files.name))

    @cached_property
    def instance(self) -> Any:
        """Return the plug-in with its `tiny` parameters, else with its defaults."""
        return self.cls(**self.tiny)


def loads(case: PluginCase) -> str:
    require(case.path.is_file(), f"{case.path} does not exist")
    require(
        name_of(case.path),
        f"the name {case.path.name} begins with `_`, which helpers do; choose another",
    )
    return case.cls.__name__


def is_frozen(case: PluginCase) -> str:
    parameters = getattr(case.cls, "__dataclass_params__", None)
    require(
        parameters is not None and parameters.frozen,
        f"write @dataclass(frozen=True) above {case.cls.__name__}",
    )
    return ""


def nameable(case: PluginCase) -> str:
    return refuse_unreadable(case.kind, case.path, name_of(case.path), case.cls)


def is_commented(case: PluginCase) -> str:
    source = read_source(case.path)
    require(
        source is not None,
        "the class cannot be read without importing the file; write __all__ = [...] plainly",
    )
    bare = [name for name, field in source.fields.items() if not field.note] if source else []
    require(
        not bare,
        f"no comment behind the parameters {', '.join(bare)}; say there what they mean, with the unit",
    )
    return ", ".join(source.fields) if source else ""


def can_be_built(case: PluginCase) -> str:
    required = [
        f.name
        for f in dataclasses.fields(case.cls)
        if f.default is f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in case.tiny]
    require(
        not missing,
        f"no default for {', '.join(missing)}; give small values in a class variable `tiny`",
    )
    return str(case.instance)


PLUGIN_CHECKS = (
    Check("the file is found and can be imported, and `__all__` names its class", loads, gate=True),
    Check("the class is a frozen dataclass", is_frozen, gate=True),
    Check("a suite can name it, and sees its fields and functions", nameable),
    Check("each parameter has a comment", is_commented),
    Check("it can be built with its defaults or with `tiny`", can_be_built, gate=True),
)
