"""Every figure in its folder passes the checks of its kind: caption, csv, one and twenty methods without cut words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.conformance import check
from bench.core.registry import find, names
from bench.core.results import CLOCK, FIGURES

BAD = """
from dataclasses import dataclass
from matplotlib.figure import Figure
from bench.core.results import Drawing

__all__ = ["Bad"]

@dataclass(frozen=True)
class Bad:
    def draw(self, results):
        figure = Figure(figsize=(2, 2))
        figure.text(0.9, 0.5, "far too long for its place")
        return Drawing(figure, "task,value\\n")
"""


def failures(path: Path) -> list[str]:
    return [str(result) for result in check(path, "figure") if result.status == "FAIL"]


@pytest.mark.parametrize("name", names("figure"))
def test_every_figure_conforms(name):
    path = find("figure", name)
    assert path is not None
    assert failures(path) == []


def test_each_figure_of_every_suite_has_a_file():
    assert all(find("figure", name) for name in (*FIGURES, CLOCK, "grid"))


def test_faults_are_found(tmp_path):
    (tmp_path / "bad.py").write_text(BAD)
    caption, rows, words = failures(tmp_path / "bad.py")
    assert "caption is None; expected sentences that say what is shown" in caption
    assert "the csv has 1 lines, with 20 methods on 1 tasks; expected 2" in rows
    assert "'far too long for its place' is cut by" in words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("frozen=True", "frozen=False", "write @dataclass(frozen=True) above Bad"),
        (
            "    def draw",
            "    tiny = {'w': 1.0}\n    w: float  # inches\n    def draw",
            "no default for w",
        ),
        ("return Drawing", "raise KeyError('sw2')  #", "FAIL it draws: KeyError: 'sw2' (bad_"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused_with_a_message(tmp_path, before, after, words):
    path = tmp_path / f"bad_{len(words)}.py"
    path.write_text(BAD.replace(before, after))
    assert any(words in line for line in failures(path))
