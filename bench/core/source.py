"""Read a plug-in from its source, without importing it: its class, with types, defaults and comments of the fields.

The plan checks a suite with it, since importing plug-ins takes seconds and may do anything, and the tables of
parameters in docs/ are made from it. Conformance refuses a plug-in of which it reads less than Python does.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTALLED = Path(__file__).resolve().parents[2]  # the folder that holds bench/
CLASS_VARIABLE = re.compile(r"(\w+\.)?ClassVar\b")
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a statement keeps others


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

    def has(self, function: str) -> bool:
        """Return whether the class has a function of that name, by `def` or by assignment."""
        return function in self.functions or self.constants.get(function, "None") != "None"


def read_source(file: Path, name: str | None = None) -> Source | None:
    """Return the dataclass `name` of a file, by default the one in `__all__`; None when it cannot be read.

    The class and its bases may also be imported from other files of this project or of the plug-in's folder. Fields of
    bases come first, as in Python.
    """
    try:
        return _source_of(file, text_of(file), name)
    except (OSError, SyntaxError, ValueError, RecursionError):  # ValueError: also of null bytes
        return None


def text_of(file: Path) -> str:
    """Return a source text, decoded as Python does: a mark of UTF-8 or a comment may name the encoding."""
    with tokenize.open(file) as text:
        return text.read()


@cache
def _source_of(file: Path, text: str, name: str | None) -> Source | None:
    body = parsed(text).body
    chosen = name or exported_name(body)
    found = list(_with_bases(file, chosen, frozenset())) if chosen else []
    if not found or chosen is None:
        return None
    fields: dict[str, Field] = {}
    constants: dict[str, str] = {}
    functions: set[str] = set()
    for cls, of_file in found:
        is_dataclass = bool(cls.decorator_list)  # whatever the decorator is called here
        for node in flat(cls.body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if is_dataclass:
                    _take_annotated(node, of_file, fields, constants)
            elif isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                constants |= dict.fromkeys(names, ast.unparse(node.value))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.add(node.name)
    doc = ast.get_docstring(found[-1][0]) or ""
    return Source(chosen, fields, constants, frozenset(functions), doc)


def _take_annotated(
    node: ast.AnnAssign, text: str, fields: dict[str, Field], constants: dict[str, str]
) -> None:
    """Add an annotated name of a class to its fields, or to its class variables."""
    name, annotation = ast.unparse(node.target), ast.unparse(node.annotation)
    if isinstance(node.annotation, ast.Constant) and isinstance(node.annotation.value, str):
        annotation = node.annotation.value  # in quotes
    if CLASS_VARIABLE.match(annotation):
        constants[name] = ast.unparse(node.value) if node.value else "None"
        fields.pop(name, None)  # of a base
    elif not annotation.endswith("KW_ONLY"):
        is_set, default = _default_of(node.value)
        if is_set:
            fields[name] = Field(name, annotation, default, _note(node, text))


def _default_of(value: ast.expr | None) -> tuple[bool, str | None]:
    """Return whether a field may be given, and the source of its default; of `field(...)`, what that says."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func).split(".")[-1] != "field":
        return True, value and ast.unparse(value)
    said = {word.arg: ast.unparse(word.value) for word in value.keywords}
    default = said.get("default", said.get("default_factory"))
    return said.get("init") != "False", default and ast.unparse(value)


def exported_name(body: Iterable[ast.stmt]) -> str | None:
    """Return the one name in a module's `__all__`, annotated or not; None when there is not exactly one."""
    found: list[str] | None = None
    for node in flat(body):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if "__all__" not in map(ast.unparse, targets) or node.value is None:
                continue
            try:
                names = [str(name) for name in ast.literal_eval(node.value)]
            except (ValueError, TypeError):
                return None
            found = [*(found or []), *names] if isinstance(node, ast.AugAssign) else names
    return found[0] if found and len(found) == 1 else None


def flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those under `if`, `try` and `with` among them."""
    for node in body:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for block in BLOCKS:
                yield from flat(getattr(node, block, ()))


@cache
def parsed(text: str) -> ast.Module:
    """Return the syntax tree of a source text; the same file is asked for many times."""
    return ast.parse(text)


def _note(node: ast.AnnAssign, text: str) -> str:
    """Return the comment behind a field, also inside its brackets; without one, the comment on the lines above it."""
    comments, lines = _comments(text), text.splitlines()
    first, last = node.lineno, node.end_lineno or node.lineno
    if behind := [comments[number] for number in range(first, last + 1) if number in comments]:
        return " ".join(behind)
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


def _with_bases(
    file: Path, name: str, seen: frozenset[tuple[Path, str]]
) -> Iterator[tuple[ast.ClassDef, str]]:
    """Yield a class of a file after its bases, each with the text of its file; nothing where it is not found."""
    if (file, name) in seen or not file.is_file():
        return
    text = text_of(file)
    body = list(flat(parsed(text).body))
    seen |= {(file, name)}
    for node in reversed(body):  # the last class of a name counts
        if isinstance(node, ast.ClassDef) and node.name == name:
            for base in node.bases:
                generic = base.value if isinstance(base, ast.Subscript) else base
                yield from _with_bases(file, ast.unparse(generic), seen)
            yield node, text
            return
    for node in body:
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            yield from _with_bases(file, ast.unparse(node.value), seen)  # another name of a class
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    yield from _with_bases(_file_of(file, node, ""), alias.name, seen)
                elif name.startswith(f"{alias.asname or alias.name}."):
                    inner = name.partition(".")[2]
                    yield from _with_bases(_file_of(file, node, alias.name), inner, seen)


def _file_of(file: Path, node: ast.ImportFrom, name: str) -> Path:
    """Return the file of a module that is imported from: beside `file`, or in this project."""
    words = [*(node.module or "").split("."), name]
    place = file.parents[node.level - 1] if node.level else INSTALLED
    path = place.joinpath(*(word for word in words if word))
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
