"""What source files say, read without importing them: what a program needs, which hyperparameters a method or a family
of priors has, whether a method trains."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a syntax tree keeps statements
NEUTRAL = {
    Path("bench", f"{name}.py") for name in ("core/artefacts", "core/errors", "core/provenance", "runtime/job")
}  # no number depends on them


@cache
def sources_of(program: str) -> tuple[str, ...]:
    """A program (`bench/stages/prior.py`, `methods/dps.py`) with the files in bench/ that decide what it computes: its imports,
    theirs and so on, and the files of other kinds beside them, templates and lists."""
    found: set[Path] = set()
    todo = [Path(program)]
    while todo:
        file = todo.pop()
        if file not in found | NEUTRAL:
            found.add(file)
            todo += [imported for name in imported_names(file) for imported in _files(name)]
    found |= {beside for folder in {file.parent for file in found} for beside in folder.iterdir() if _is_beside(beside)}
    return tuple(sorted(map(str, found)))


@cache
def imported_names(file: Path) -> set[str]:
    """What a file imports anywhere in it, as in `bench.priors.gmm.GMM`."""
    names = set()
    todo: list[ast.AST] = [_tree(file)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(part for part in (_package(file, node.level), node.module) if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
        else:  # an expression holds no import: to skip them is several times as fast
            todo += [child for part in STATEMENTS for child in getattr(node, part, ())]
    return names


def _package(file: Path, level: int) -> str:
    """The package that a relative import of that level starts from; "" for an absolute one."""
    return ".".join(file.parts[: len(file.parts) - level]) if level else ""


def _is_beside(file: Path) -> bool:
    return file.suffix in (".json", ".html", ".css", ".js")


def _tree(file: Path) -> ast.Module:
    try:
        return _parsed(file.read_text())
    except SyntaxError:  # the command itself will say so, where it can be seen
        return ast.Module([], [])


@cache
def _parsed(text: str) -> ast.Module:
    """By text, not by name: the same file is asked for many times."""
    return ast.parse(text)


@cache
def _files(name: str) -> list[Path]:
    """The files that Python loads for a dotted name inside bench or methods."""
    parts = name.split(".")
    if parts[0] not in ("bench", "methods"):
        return []
    prefixes = [Path(*parts[:length]) for length in range(2, len(parts) + 1)]
    candidates = [file for prefix in prefixes for file in (prefix / "__init__.py", prefix.with_suffix(".py"))]
    return [file for file in candidates if file.is_file()]


@dataclass(frozen=True)
class Field:
    """A hyperparameter as it is written down: `num_steps: int = 1000`."""

    annotation: str

    def accepts(self, value: object) -> bool:
        """Whether a value from YAML fits; annotations that are not understood accept everything."""
        return _fits(ast.parse(self.annotation, mode="eval").body, value)


def method_fields(file: Path) -> dict[str, Field] | None:
    """Fields of the dataclass named in `__all__`; None when the file cannot be read that way."""
    cls = _method_class(file)
    return cls and _fields(cls)


def trains(file: Path) -> bool:
    """Whether the method in a file has to be trained before it samples."""
    cls = _method_class(file)
    return cls is not None and "train" in [node.name for node in cls.body if isinstance(node, ast.FunctionDef)]


def searches(file: Path) -> bool:
    """Whether the method in a file declares a range to search; True when the file cannot be read that way."""
    cls = _method_class(file)
    assigned = [node for node in (cls.body if cls else []) if isinstance(node, (ast.Assign, ast.AnnAssign))]
    targets = [node.target if isinstance(node, ast.AnnAssign) else node.targets[0] for node in assigned]
    ranges = [node.value for node, target in zip(assigned, targets, strict=True) if ast.unparse(target) == "search"]
    return cls is None or any(not isinstance(value, ast.Dict) or value.keys for value in ranges)


def settings_fields(file: Path) -> dict[str, Field] | None:
    """Fields of a prior family's dataclass; None where there is none."""
    return method_fields(file)


def _method_class(file: Path) -> ast.ClassDef | None:
    try:
        body = _parsed(file.read_text()).body
        (name,) = next(
            ast.literal_eval(n.value)
            for n in body
            if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
        )
        return next(node for node in body if isinstance(node, ast.ClassDef) and node.name == name)
    except (OSError, SyntaxError, ValueError, StopIteration):
        return None


def _fields(cls: ast.ClassDef) -> dict[str, Field]:
    annotated = [node for node in cls.body if isinstance(node, ast.AnnAssign)]
    fields = {ast.unparse(node.target): ast.unparse(node.annotation) for node in annotated}
    return {name: Field(annotation) for name, annotation in fields.items() if "ClassVar" not in annotation}


def _fits(annotation: ast.expr, value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match annotation:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _fits(left, value) or _fits(right, value)
        case ast.Subscript(value=ast.Name("Optional"), slice=inner):
            return value is None or _fits(inner, value)
        case ast.Subscript(value=ast.Name("Literal"), slice=choices):
            return value in (
                ast.literal_eval(choices) if isinstance(choices, ast.Tuple) else [ast.literal_eval(choices)]
            )
        case ast.Subscript(value=ast.Name("tuple" | "list")) | ast.Name("tuple" | "list"):
            return isinstance(value, list)
        case ast.Constant(None):
            return value is None
        case ast.Name("int"):
            return is_number and isinstance(value, int)
        case ast.Name("float"):
            return is_number
        case ast.Name("bool" | "str" as kind):
            return type(value).__name__ == kind
    return True
