"""Figures are laid out once, for both formats."""

import io

import pytest
from matplotlib.figure import Figure

from bench.core.results import Drawing
from bench.figures._saving import DPI, save
from bench.figures._style import drawing_style, name_axes, small_panels


def panels() -> Figure:
    figure, axes = small_panels({"first": "a remark", "second": ""}, 1.5)
    for one in axes:
        one.plot([0, 1], [0, 1e4])
    name_axes(figure, "network calls per sample", "distance")
    return figure


@pytest.mark.parametrize("layout", ["constrained", "compressed", "tight", None])
def test_the_png_has_the_layout_that_savefig_would_give_it(tmp_path, layout):
    with drawing_style():
        figure, alone = panels(), io.BytesIO()
        figure.set_layout_engine(layout)
        save(Drawing(figure, "a\n1\n"), tmp_path, "fig", {})
        expected = panels()
        expected.set_layout_engine(layout)
        expected.savefig(alone, format="png", dpi=DPI, metadata={"Software": None})
    assert (tmp_path / "fig.png").read_bytes() == alone.getvalue()
    assert (tmp_path / "fig.pdf").stat().st_size > 1000


def test_a_figure_of_words_alone_is_saved_without_a_warning(tmp_path, recwarn):
    figure = Figure(layout="constrained")
    figure.text(0.5, 0.5, "no task has two methods")
    save(Drawing(figure, "a\n"), tmp_path, "words", {})
    assert not [str(w.message) for w in recwarn if "layout" in str(w.message)]
    assert (tmp_path / "words.png").exists()


def test_the_figure_of_a_rehearsal_says_so(tmp_path):
    figure = panels()
    save(Drawing(figure, "a\n"), tmp_path, "plain", {})
    assert "rehearsal" not in [text.get_text() for text in figure.texts]
    save(Drawing(figure, "a\n"), tmp_path, "marked", {"rehearsal": "its numbers mean nothing"})
    assert "rehearsal" in [text.get_text() for text in figure.texts]
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "marked.png").read_bytes()


@pytest.mark.parametrize(
    ("drawing", "line"),
    [
        (None, "draw() returned NoneType, expected a Drawing"),
        (Drawing(None, ""), "draw() returned NoneType as figure, expected a matplotlib Figure"),
        (Drawing(Figure(), [("a", 1)]), "draw() returned list as csv, expected text"),
        (Drawing(Figure(figsize=(1e4, 2)), ""), "a figure of 10000 x 2 inches, expected at most"),
    ],
)
def test_what_is_no_drawing_is_refused_in_one_line(tmp_path, drawing, line):
    with pytest.raises(ValueError) as refused:
        save(drawing, tmp_path, "fig", {})
    assert line in str(refused.value) and not list(tmp_path.iterdir())
