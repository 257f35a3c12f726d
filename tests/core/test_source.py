"""Reading a plug-in's source gives what importing the file gives, for any way to write it."""

from __future__ import annotations

import dataclasses

import pytest

from bench.core.registry import load_file
from bench.core.source import read_source

HEAD = "from dataclasses import dataclass, field\nfrom typing import ClassVar\nimport typing as t\n"
BASE = "@dataclass(frozen=True)\nclass Base:\n    rate: float = 0.5  # of it\n    def train(self): ...\n"
CLASS = "@dataclass(frozen=True)\nclass X{bases}:\n    steps: int = 3  # of it\n"
SOURCES = {
    "plain": "__all__ = ['X']\n" + CLASS,
    "tuple": "__all__ = ('X',)\n" + CLASS,
    "annotated": "__all__: list[str] = ['X']\n" + CLASS,
    "added": "__all__ = []\n__all__ += ['X']\n" + CLASS,
    "under_if": "if True:\n    __all__ = ['X']\n" + CLASS,
    "base_here": "__all__ = ['X']\n" + BASE + CLASS.replace("{bases}", "(Base)"),
    "base_beside": "from ._base import Base\n__all__ = ['X']\n"
    + CLASS.replace("{bases}", "(Base)"),
    "renamed": "from ._base import Base as B\n__all__ = ['X']\n" + CLASS.replace("{bases}", "(B)"),
    "base_of_module": "from . import _base\n__all__ = ['X']\n"
    + CLASS.replace("{bases}", "(_base.Base)"),
    "class_beside": "from ._base import Base\n__all__ = ['Base']\n",
    "class_variables": "__all__ = ['X']\n"
    + CLASS
    + "    a: t.ClassVar[int] = 1\n    b: 'ClassVar[int]' = 2\n",
    "fields": "__all__ = ['X']\n"
    + CLASS
    + "    sizes: tuple = field(default=(1,))\n    made: int = field(init=False, default=0)\n",
    "assigned": "def _train(self): ...\n__all__ = ['X']\n" + CLASS + "    train = _train\n",
    "written_twice": "__all__ = ['X']\n" + BASE.replace("Base", "X") + CLASS,
    "undecorated_base": "class Base:\n    rate: float = 0.5\n    def train(self): ...\n__all__ = ['X']\n"
    + CLASS.replace("{bases}", "(Base)"),
    "undecorated": "__all__ = ['X']\n" + BASE + "class X(Base):\n    steps: int = 3\n",
    "generic_base": "T = t.TypeVar('T')\n__all__ = ['X']\n"
    + BASE.replace("Base", "Base(t.Generic[T])")
    + CLASS.replace("{bases}", "(Base[int])"),
    "field_that_becomes_a_class_variable": "__all__ = ['X']\n"
    + BASE
    + CLASS.replace("{bases}", "(Base)")
    + "    rate: ClassVar[float] = 1.0\n",
    "other_name": "X = 1\n" + BASE.replace("Base", "Y") + "__all__ = ['X']\nX = Y\n",
    "decorator_of_another_name": "dc = dataclass(frozen=True)\n__all__ = ['X']\n"
    + CLASS.replace("@dataclass(frozen=True)", "@dc"),
    "under_match": "match 1:\n    case 1:\n        __all__ = ['X']\n" + CLASS,
    "under_else": "__all__ = ['X']\n"
    + CLASS
    + "    if False: ...\n    else:\n        def train(self): ...\n",
}


@pytest.mark.parametrize("form", SOURCES)
def test_both_readers_agree(tmp_path, form):
    (tmp_path / "_base.py").write_text(HEAD + BASE)
    file = tmp_path / f"{form}.py"
    file.write_text(HEAD + SOURCES[form].replace("{bases}", ""))
    cls, source = load_file(file, f"methods.{form}"), read_source(file)
    assert source and source.name == ("X" if form == "other_name" else cls.__name__)
    assert list(source.fields) == [x.name for x in dataclasses.fields(cls) if x.init]
    assert source.has("train") == hasattr(cls, "train")
    assert [name for name in ("a", "b") if name in source.constants] == [
        name for name in ("a", "b") if hasattr(cls, name)
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_a_file_is_decoded_as_python_does(tmp_path, encoding):
    mark = f"# -*- coding: {encoding} -*-\n" if encoding == "latin-1" else ""
    text = mark + HEAD + "# in \u00e9tapes\n__all__ = ['X']\n" + CLASS.replace("{bases}", "")
    (tmp_path / "x.py").write_bytes(text.encode(encoding))
    source = read_source(tmp_path / "x.py")
    assert source and list(source.fields) == ["steps"]


@pytest.mark.parametrize("text", ["__all__ = [", "__all__ = names()\n", "x = 1\n", "\0"])
def test_what_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "x.py").write_text(text)
    assert read_source(tmp_path / "x.py") is None


def test_bases_that_name_each_other_come_to_an_end(tmp_path):
    (tmp_path / "a.py").write_text("from .b import X\n__all__ = ['X']\n")
    (tmp_path / "b.py").write_text("from .a import X\n")
    assert read_source(tmp_path / "a.py") is None


def test_a_comment_inside_of_brackets_is_the_field_s_own(tmp_path):
    (tmp_path / "x.py").write_text(
        HEAD
        + CLASS.replace("{bases}", "").replace(
            "3  # of it", "(\n        3  # of it\n    )\n    # above\n    last: int = 1"
        )
        + "__all__ = ['X']\n"
    )
    source = read_source(tmp_path / "x.py")
    assert source and {name: x.note for name, x in source.fields.items()} == {
        "steps": "of it",
        "last": "above",
    }
