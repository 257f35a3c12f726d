"""Read a dataclass from its source, without importing it: its fields with their types, defaults and comments.

The plan checks a suite with it, since importing plug-ins takes seconds, and the tables of parameters in docs/ are made
from it.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Field:
    """A field as it is written: `num_steps: int = 1000  # of the sampler`.

    annotation, default: their source; default is None for a required field. note: the comment behind the field, or
    on the lines above it.
    """

    name: str
    annotation: str
    default: str | None
    note: str = ""


@dataclass(frozen=True)
class Source:
    """A dataclass in a file: its fields, class variables (name to source of the value), functions and docstring."""

    name: str
    fields: dict[str, Field]
    constants: dict[str, str]
    functions: frozenset[str]
    doc: str

    def constant(self, name: str) -> object:
        """Return the value of a class variable that is a literal; None when it is missing or computed."""
        try:
            return ast.literal_eval(self.constants[name])
        except (KeyError, ValueError):
            return None


def read_source(file: Path, name: str | None = None) -> Source | None:
    """Return the dataclass `name` of a file, by default the one in `__all__`; None when it cannot be read that way.

    Base classes count when they stand in the same file; their fields come first, as in Python.
    """
    try:
        return _source_of(file.read_text(), name)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


@cache
def _source_of(text: str, name: str | None) -> Source | None:
    body = parsed(text).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    chosen = classes.get(name or exported_name(body) or "")
    if chosen is None:
        return None
    fields: dict[str, Field] = {}
    constants: dict[str, str] = {}
    functions: set[str] = set()
    for cls in _with_bases(chosen, classes):
        for node in cls.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                annotation = ast.unparse(node.annotation)
                value = node.value and ast.unparse(node.value)
                if annotation.startswith(("ClassVar", "typing.ClassVar")):
                    constants[node.target.id] = value or "None"
                else:
                    field = Field(node.target.id, annotation, value, _note(node, text))
                    fields[node.target.id] = field
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                constants[node.targets[0].id] = ast.unparse(node.value)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.add(node.name)
    return Source(
        chosen.name, fields, constants, frozenset(functions), ast.get_docstring(chosen) or ""
    )


def exported_name(body: list[ast.stmt]) -> str | None:
    """Return the one name in a module's `__all__`, annotated or not; None when there is not exactly one."""
    for node in body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if [ast.unparse(target) for target in targets] == ["__all__"] and node.value is not None:
            try:
                (name,) = ast.literal_eval(node.value)
                return str(name)
            except (ValueError, TypeError):
                return None
    return None


@cache
def parsed(text: str) -> ast.Module:
    """Return the syntax tree of a source text; the same file is asked for many times."""
    return ast.parse(text)


def _note(node: ast.AnnAssign, text: str) -> str:
    """Return the comment behind a field or, where there is none, that on the lines above it."""
    comments, lines = _comments(text), text.splitlines()
    if behind := comments.get(node.end_lineno or node.lineno):
        return behind
    first = node.lineno
    while first > 1 and lines[first - 2].lstrip().startswith("#"):
        first -= 1
    return " ".join(comments[number] for number in range(first, node.lineno))


@cache
def _comments(text: str) -> dict[int, str]:
    """Return the comment on each line of a source text, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _with_bases(cls: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """Return a class after its bases of the same file."""
    bases = [classes[ast.unparse(base)] for base in cls.bases if ast.unparse(base) in classes]
    return [
        ancestor for base in bases if base is not cls for ancestor in _with_bases(base, classes)
    ] + [cls]
