"""A class that Python reads otherwise than a suite, which does not import it, is refused in one line."""

from __future__ import annotations

import pytest

from bench.conformance.checks import Refused
from bench.conformance.readable import refuse_unreadable
from bench.core.registry import load_file

CLASS = """
from dataclasses import dataclass, field, make_dataclass

__all__ = ["Mine"]


def train(self, prior, problem, *, rng):
    return {}


@dataclass(frozen=True)
class Mine:
    steps: int = 3
    joint = "independent"
"""
MADE = CLASS[: CLASS.index("@dataclass")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{CLASS}\nMine.train = train", "a suite does not see `train` of Mine"),
        (f"{CLASS}\nsetattr(Mine, 'train', train)", "a suite does not see `train` of Mine"),
        (
            f"{CLASS}\nMine.joint = 'chain'",
            "reads joint = 'independent', but it is 'chain' in Mine",
        ),
        (
            f"{CLASS}\n    if False:\n        train = train",
            "a suite sees `train`, which Mine does not",
        ),
        (f"{MADE}\nMine = make_dataclass('Mine', ['steps'])", "finds no class: write __all__"),
        (
            f"{MADE}\ndef made():\n    class Mine: pass\n    return Mine\nMine = made()",
            "finds no class",
        ),
    ],
)
def test_what_python_reads_differently_is_named(tmp_path, text, line):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        refuse_unreadable("method", path, "mine", load_file(path, "methods.mine"))
    assert line in str(refused.value)


def test_a_plain_class_is_read(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CLASS)
    assert refuse_unreadable("method", path, "mine", load_file(path, "methods.mine")) == "mine"
