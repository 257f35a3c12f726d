"""Checks of a method's file and class, before anything is drawn."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from bench.conformance.case import JOINTS, Case, Check, Refused
from bench.conformance.readable import refuse_unreadable
from bench.core.kinds import KINDS, OTHER
from bench.core.registry import exported_class, name_of
from bench.core.types import Cap, Choice, LogUniform, Uniform
from bench.plan.sources import import_statements

ALLOWED = ("bench.core.types", "bench.numerics")
FORBIDDEN = ("bench", "methods", "snakemake")
SIGNATURE = "sample(self, prior, problem, y, num_samples, *, rng)"
TRAIN_SIGNATURE = "train(self, prior, problem, *, rng)"


def loads(case: Case) -> str:
    if not case.path.is_file():
        raise Refused(f"{case.path} does not exist")
    if not re.fullmatch(r"[\w-]+", case.path.stem, re.ASCII):
        raise Refused(f"the file name {case.path.name}: use letters, digits, _ and - only")
    if error := case.loaded[1].error:
        raise Refused(f"importing it raised {error}")
    return ""


def nameable(case: Case) -> str:
    """Refuse a file that no row of a suite can name, or with fields and functions that a suite does not see."""
    name = name_of(case.path)
    return refuse_unreadable("method", case.path, name, case.cls)


def imports(case: Case) -> str:
    """Refuse imports that a method may not have; files of a package may import each other, and any file its helpers."""
    package = case.path.parent if case.path.name == "__init__.py" else None
    files, helpers = list(case.files), set[Path]()
    for file in files:
        depth = len(file.relative_to(package).parts) if package and file not in helpers else 0
        found = _helpers(file, depth) - helpers
        helpers |= found
        files += sorted(found)
        for name in _imported(file, depth):
            allowed = any(f"{name}.".startswith(f"{prefix}.") for prefix in ALLOWED)
            if not allowed and name.split(".")[0] in ("", *FORBIDDEN):
                what = name or "a neighbour"
                raise Refused(
                    f"{file.name} imports {what}; a method may import only {', '.join(ALLOWED)} of this project"
                )
    return f"{len(files)} files" if len(files) > 1 else ""


def _imported(file: Path, depth: int) -> list[str]:
    """Return the full names of all imports of a file, "" for a file beside the plug-in that is not a helper.

    Relative imports of at most `depth` levels stay inside the plug-in's package.
    """
    names = []
    for node in import_statements(file):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif not _is_helper(node, depth):
            names += [
                "" if node.level > depth else f"{node.module}.{alias.name}" for alias in node.names
            ]
    return names


def _helpers(file: Path, depth: int) -> set[Path]:
    """Return the helpers beside the plug-in that a file imports."""
    nodes = [node for node in import_statements(file) if _is_helper(node, depth)]
    found = {file.parents[node.level - 1] / f"{node.module}.py" for node in nodes}
    return {helper for helper in found if helper.is_file()}


def _is_helper(node: ast.AST, depth: int) -> TypeGuard[ast.ImportFrom]:
    """Return whether a statement is `from ._helper import f`, with `_helper.py` beside the plug-in."""
    return (
        isinstance(node, ast.ImportFrom)
        and node.level == depth + 1
        and (node.module or "").startswith("_")
    )


def one_name(case: Case) -> str:
    try:
        return exported_class(case.module, case.path).__name__
    except ValueError as error:
        raise Refused(str(error)) from None


def frozen(case: Case) -> str:
    cls = case.cls
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:
        raise Refused(
            f"{cls.__name__} is not a frozen dataclass; decorate it with @dataclass(frozen=True)"
        )
    parameters = parameters_of_sample(cls)
    if "train" not in vars(cls) and "state" in parameters:
        raise Refused(
            f"`sample` takes `state`, but {cls.__name__} has no method {TRAIN_SIGNATURE} to make it"
        )
    if "train" in vars(cls) and "state" not in parameters:
        raise Refused(
            f"{cls.__name__} has `train`, but `sample` does not take `state`; add `*, rng, state`"
        )
    if "train" in vars(cls) and list(inspect.signature(cls.train).parameters) != [
        "self",
        "prior",
        "problem",
        "rng",
    ]:
        raise Refused(f"`train` takes {inspect.signature(cls.train)}; expected {TRAIN_SIGNATURE}")
    return ""


def parameters_of_sample(cls: type) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of `sample`; raise Refused where the class has no `sample` or its parameters are others."""
    sample = getattr(cls, "sample", None)
    if not callable(sample):
        raise Refused(f"{cls.__name__} has no method {SIGNATURE}")
    parameters = inspect.signature(sample).parameters
    if (
        list(parameters)[:5] != ["self", "prior", "problem", "y", "num_samples"]
        or "rng" not in parameters
    ):
        raise Refused(f"`sample` takes {inspect.signature(sample)}; expected {SIGNATURE}")
    return parameters


def url(case: Case) -> str:
    address = re.search(r"https?://\S+", case.module.__doc__ or "")
    if not address:
        raise Refused(
            "the module's docstring has no URL; name title, venue and address of the source"
        )
    return address.group().rstrip(".,;)")


def deviations(case: Case) -> str:
    if not re.search(r"^\s*Deviations:\s*\S", case.module.__doc__ or "", re.MULTILINE):
        raise Refused(
            "the module's docstring has no line `Deviations: ...`; say what differs from the source, or none"
        )
    return ""


def needs(case: Case) -> str:
    declared = getattr(case.method, "needs", None)
    if not isinstance(declared, Cap):
        raise Refused(
            f"`needs` is {declared!r}; expected a bench.core.types.Cap such as Cap.DENOISER | Cap.RESIDUAL"
        )
    optional = getattr(case.cls, "uses", Cap.NONE)
    if not isinstance(optional, Cap):
        raise Refused(f"`uses` is {optional!r}; expected a bench.core.types.Cap such as Cap.GRAD")
    if optional & declared:
        raise Refused(
            f"`uses` repeats {(optional & declared).name} of `needs`; name there what it can do without"
        )
    message = ", ".join(str(cap.name) for cap in declared) or "nothing"
    return message + (
        f"; uses {', '.join(str(cap.name) for cap in optional)} where there" if optional else ""
    )


def search(case: Case) -> str:
    ranges = getattr(case.cls, "search", None)
    if not isinstance(ranges, dict):
        raise Refused(
            f"`search` is {ranges!r}; expected a dict of tuning ranges, {{}} where there is nothing to tune"
        )
    fields = [field.name for field in dataclasses.fields(case.cls)]
    for key, values in ranges.items():
        if key not in fields:
            raise Refused(
                f"`search` tunes {key!r}, which is not a field; the fields are {', '.join(fields) or 'none'}"
            )
        if not isinstance(values, (Uniform, LogUniform, Choice)):
            raise Refused(
                f"`search` gives {values!r} for {key}; expected Uniform, LogUniform or Choice"
            )
    return ", ".join(ranges)


def joint(case: Case) -> str:
    if case.joint not in JOINTS:
        raise Refused(f"`joint` is {case.joint!r}; expected one of {', '.join(JOINTS)}")
    return case.joint


def kind(case: Case) -> str:
    declared = getattr(case.method, "kind", OTHER)
    if declared not in KINDS:
        raise Refused(f"`kind` is {declared!r}; expected one of {', '.join(KINDS)}")
    return declared


def constructs(case: Case) -> str:
    required = [
        field.name
        for field in dataclasses.fields(case.cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if required:
        raise Refused(f"no default for {', '.join(required)}; give each field the paper's value")
    unknown = set(case.tiny) - {field.name for field in dataclasses.fields(case.cls)}
    if unknown:
        raise Refused(f"`tiny` sets {', '.join(sorted(unknown))}, which is not a field")
    chains = getattr(case.method, "num_chains", None)
    if case.joint == "chain" and not (isinstance(chains, int) and chains > 0):
        raise Refused(
            f"`num_chains` is {chains!r}; a chain method says how many chains it runs, a positive integer"
        )
    return ""


MODULE_CHECKS = (
    Check("the file imports", loads, gate=True),
    Check("it imports only what a method may", imports),
    Check("one name in __all__", one_name, gate=True),
    Check("a frozen dataclass with `sample`", frozen, gate=True),
    Check("a suite can name it, and sees its fields and functions", nameable),
    Check("URL in the docstring", url),
    Check("deviations stated", deviations),
    Check("defaults construct", constructs, gate=True),
    Check("`needs` is a Cap", needs, gate=True),
    Check("`search` keys are fields", search),
    Check("`joint` is valid", joint, gate=True),
    Check("`kind` is known", kind),
)
