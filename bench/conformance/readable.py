"""Check that a suite can name a plug-in, and that reading its source shows all that importing it does."""

from __future__ import annotations

import dataclasses
import re
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path

from bench.conformance.checks import Refused
from bench.core.registry import INSTALLED, Kind, find
from bench.core.source import Source, read_source
from bench.plan import schema
from bench.plan.config import RESERVED
from bench.plan.sources import has_code, sources_of

# entries of a suite that have keys of their own beside a plug-in's parameters
ENTRIES = {"method": "RowEntry", "prior": "PriorEntry", "operator": "TaskEntry"}
LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")  # where Python keeps what is installed
READ = ("train", "search", "joint", "kind", "takes_teacher", "needs_teacher", "timing_only", "side")
PLAINLY = "write it plainly in the class, or in a base class of this file or of one beside it"


def refuse_unreadable(kind: Kind, path: Path, name: str, cls: type) -> str:
    """Return the name by which a suite knows a plug-in; raise Refused, in one line, where a suite misses some of it."""
    _refuse_name(kind, path, name)
    source = read_source(path)
    if source is None:
        raise Refused(
            f"a suite reads the file without importing it and finds no class: write __all__ = [{cls.__name__!r}] and "
            f"class {cls.__name__} plainly, here or in a file beside it"
        )
    _refuse_fields(kind, source, cls)
    for word in READ:
        _refuse_other_reading(source, cls, word)
    return name


def _refuse_other_reading(source: Source, cls: type, word: str) -> None:
    """Raise Refused, one line, where a suite reads something else of a class variable or function than Python does."""
    is_read = source.has(word) or word in {*source.fields, *source.constants}
    if hasattr(cls, word) and not is_read:
        raise Refused(f"a suite does not see `{word}` of {cls.__name__}; {PLAINLY}")
    if source.has(word) and not hasattr(cls, word):
        raise Refused(f"a suite sees `{word}`, which {cls.__name__} does not have; {PLAINLY}")
    read, value = source.constant(word), getattr(cls, word, None)
    if word not in source.fields and read is not None and read != value:
        raise Refused(
            f"a suite reads {word} = {read!r:.40}, but it is {value!r:.40} in {cls.__name__}; {PLAINLY}, once"
        )


def _refuse_name(kind: Kind, path: Path, name: str) -> None:
    if not name or not re.search(schema.NAME, name):
        raise Refused(
            f"the file name {path.name}: no suite can name it; expected a letter or digit, then {schema.NAME_WORDS}"
        )
    if kind == "method" and name == RESERVED:
        raise Refused(f"the file name {path.name}: {RESERVED} is the floor's row; choose another")
    found = find(kind, name)
    if (
        found
        and found.resolve().parent == path.resolve().parent
        and found.resolve() != path.resolve()
    ):
        raise Refused(f"the name {name} finds {found.name}; `-` and `_` are the same in a suite")


def _refuse_fields(kind: Kind, source: Source, cls: type) -> None:
    fields = {field.name for field in dataclasses.fields(cls) if field.init}
    if unseen := sorted(fields - set(source.fields)):
        raise Refused(f"a suite does not see the field {unseen[0]} of {cls.__name__}; {PLAINLY}")
    entry = read_source(schema.FILE, ENTRIES[kind]) if kind in ENTRIES else None
    if entry and (taken := sorted(fields & set(entry.fields))):
        raise Refused(
            f"the field {taken[0]}: a suite has a key of that name for every {kind}; choose another"
        )


def refuse_untracked(path: Path, before: Collection[str]) -> str:
    """Return how many files beside a plug-in are tracked; raise Refused where it imported one that no suite sees.

    before: names of the modules that had been imported before the plug-in was.
    """
    tracked = {Path(source).resolve() for source in sources_of(str(path))}
    own = {Path.cwd().resolve(), path.resolve().parent}
    for name in sorted(sys.modules.keys() - before):
        file = getattr(sys.modules[name], "__file__", None)
        file = Path(file).resolve() if file else None
        if file is None or file in tracked or file == path.resolve() or _is_installed(file):
            continue
        if own & set(file.parents) and (file.name != "__init__.py" or has_code(file)):
            raise Refused(
                f"it imports {file.name} in a way that a suite does not see, so that an edit there would rerun "
                "nothing; name it _... and write: from ._... import ..."
            )
    return f"{len(tracked)} files"


def _is_installed(file: Path) -> bool:
    """Return whether a file is of this project, of Python or of a package."""
    places = [INSTALLED / "bench", *(Path(sysconfig.get_path(kind)) for kind in LIBRARIES)]
    return any(file.is_relative_to(place.resolve()) for place in places)
