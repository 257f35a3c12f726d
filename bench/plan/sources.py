"""Find the source files that decide what a program computes: the closure of its imports, without importing them.

Plug-ins are loaded by name, so each is in its own closure only. Modules on which no number depends (locks, progress,
how files are written) are in none, and the stopwatch only in those of stages that import it directly.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from bench.core import registry
from bench.core.source import parsed, text_of

# where a syntax tree keeps statements
STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")
# an import statement on lines of its own, as the formatter writes them; with names in brackets, up to the closing one
IMPORT = re.compile(
    r"^[ \t]*((?:from[ \t]+\S+[ \t]+)?import[ \t]+(?:\([^)]*\)|[^\n]+))", re.MULTILINE
)
START = Path.cwd()
HOME = (
    registry.INSTALLED.relative_to(Path.cwd())
    if registry.INSTALLED.is_relative_to(Path.cwd())
    else registry.INSTALLED
)
NEUTRAL = {  # no number depends on them
    HOME / "bench" / f"{name}.py"
    for name in (
        "core/artefacts",  # how files are written, with a hash of what they hold
        "core/errors",  # a class of error
        "core/job_costs",  # what jobs took
        "core/layout",  # where files lie
        "core/provenance",  # what headers say of a job beside its numbers
        "core/registry",  # finds plug-ins; theirs are inputs themselves
        "core/retries",  # which failures are tried again
        "core/shipped",  # finds files of an installed copy
        "core/specs",  # what a job is told; its content is a param of the job
        "runtime/compiled_layers",  # speed
        "runtime/containment",  # what happens when a process ends
        "runtime/job",  # how a command begins and ends
        "runtime/lease",  # who has the CPU
        "runtime/orphans",  # when a job is ended
        "runtime/preload",  # how a command starts
        "runtime/progress",  # what a terminal shows
        "runtime/surroundings",  # what a plug-in leaves of the working folder and the streams
    )
}
ONLY_DIRECT = {HOME / "bench/runtime/stopwatch.py"}  # seconds: of a stage that imports it itself


def stage_file(rule: str) -> str:
    """Return the file of a stage."""
    return str(HOME / "bench" / "stages" / f"{rule}.py")


@cache
def sources_of(program: str) -> tuple[str, ...]:
    """Return a program's file and those in bench/ that decide what it computes, with lists and templates beside them.

    program: a stage or a plug-in, such as `bench/stages/prior.py` or `methods/dps.py`.
    """
    closure: set[Path] = set()
    todo = [Path(program)]
    while todo:
        file = todo.pop()
        if file in closure:
            continue
        closure.add(file)
        imported = imported_files(file) - NEUTRAL
        todo += imported if file == Path(program) else imported - ONLY_DIRECT
    beside = {
        folder / path.name
        for folder in {file.parent for file in closure}
        for path in _on_disk(folder).iterdir()
        if path.suffix in (".json", ".html", ".css", ".js")
    }
    of_user = [file for file in closure if not file.is_relative_to(HOME / "bench")]
    beside |= {path for file in of_user for path in _named_in(file)}
    # files without code decide nothing, and Snakemake is slow with many inputs per job
    named = {file for file in closure if file.name != "__init__.py" or has_code(file)}
    return tuple(sorted(map(str, named | beside)))


def _named_in(plugin: Path) -> set[Path]:
    """Return the files next to a plug-in that its source names and that are not modules, such as tables and weights."""
    text, folder = _on_disk(plugin).read_text(errors="replace"), _on_disk(plugin.parent)
    files = (path for path in folder.rglob("*") if path.suffix not in (".py", ".pyc"))
    named = (path for path in files if path.name in text and path.is_file())
    return {plugin.parent / path.relative_to(folder) for path in named}


@cache
def is_plugin(file: str) -> bool:
    """Return whether a source file is a plug-in or a part of one, and not a helper that plug-ins share."""
    return not _plugin_folders().isdisjoint(Path(file).parents) and not Path(file).name.startswith(
        "_"
    )


@cache
def _plugin_folders() -> frozenset[Path]:
    return frozenset(Path(folder) for kind in registry.KINDS for folder in registry.folders(kind))


def hash_of(files: Iterable[str]) -> str:
    """Return a hash of the content of files."""
    return hashlib.sha256("".join(map(_hash, files)).encode()).hexdigest()[:16]


@cache
def _hash(file: str) -> str:
    return hashlib.sha256(_on_disk(Path(file)).read_bytes()).hexdigest()


def _on_disk(path: Path) -> Path:
    """Return the path of a file or folder, which may be relative to the folder where Python started."""
    return path if path.exists() else START / path


def has_code(file: Path) -> bool:
    """Return whether a file holds more than a docstring and imports of `annotations`."""
    try:
        body = ast.parse(text_of(_on_disk(file))).body
    except (SyntaxError, ValueError):  # it may hold anything
        return True
    return any(
        not isinstance(node, ast.Expr) and "__future__" not in ast.unparse(node) for node in body
    )


def imported_files(file: Path) -> set[Path]:
    """Return the files of this project, of the working folder and beside `file` that `file` imports, at any depth."""
    found: set[Path] = set()
    for node in import_statements(file):
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.Import):
            found |= {path for name in names for path in _files(name)}
        elif not node.level:
            found |= {path for name in names for path in _files(f"{node.module}.{name}")}
        else:
            folder = file.parents[node.level - 1]
            module = node.module.split(".") if node.module else []
            found |= {path for name in names for path in _beneath(folder, (*module, name))}
    return found


def imported_packages(file: Path) -> set[str]:
    """Return the names of packages, other than Python's own and this project's, that a file imports at any depth."""
    names = set()
    for node in import_statements(file):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif not node.level:
            names.add((node.module or "").partition(".")[0])
    return names - sys.stdlib_module_names - {"bench", "methods"}


@cache
def import_statements(file: Path) -> list[ast.Import | ast.ImportFrom]:
    """Return the import statements of a file, also those inside functions and classes."""
    found = []
    todo: list[ast.AST] = [_imports(file)]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append(node)
        else:  # expressions hold no imports, and skipping them is several times as fast
            todo += [child for part in STATEMENTS for child in getattr(node, part, ())]
    return found


def _imports(file: Path) -> ast.Module:
    """Return the syntax tree of a file's import statements, or of the whole file where these cannot be cut out.

    Parsing all files whole would take most of the time in which a workflow starts.
    """
    try:
        text = text_of(_on_disk(file))
    except (
        SyntaxError,
        ValueError,
    ):  # it names no encoding that fits; the job that imports it will report it
        return ast.Module([], [])
    try:
        return ast.parse("\n".join(IMPORT.findall(text)))
    except (
        SyntaxError,
        ValueError,
    ):  # a statement over several lines, or prose that looks like one
        pass
    try:
        return parsed(text)
    except (SyntaxError, ValueError):  # the job that imports the file will report it
        return ast.Module([], [])


@cache
def _files(name: str) -> list[Path]:
    """Return the files that Python loads for a dotted name inside bench or methods, or from a folder of the user's."""
    parts = name.split(".")
    if parts[0] in ("bench", "methods"):
        return _beneath(HOME / parts[0], parts[1:])
    if parts[0] in sys.stdlib_module_names:
        return []
    places = [Path(), *map(Path, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))]
    return next((found for place in places if (found := _beneath(place, parts))), [])


def _beneath(folder: Path, parts: Sequence[str]) -> list[Path]:
    """Return the files that Python loads for a dotted name inside a folder."""
    prefixes = [folder.joinpath(*parts[:length]) for length in range(1, len(parts) + 1)]
    # the folder's own __init__.py, unless the folder is this project's root
    around = [] if folder.parent == HOME or folder == HOME else [folder / "__init__.py"]
    candidates = [
        file
        for prefix in prefixes
        for file in (prefix / "__init__.py", prefix.parent / f"{prefix.name}.py")
    ]
    return [file for file in around + candidates if _on_disk(file).is_file()]
