"""Figures take text from a small copy of the font: the same pictures, and text in a pdf that can be searched."""

import io

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from bench.figures import _font
from bench.figures._style import RC, drawing_style

TEXT = "AVATo fi χ² 10⁻³ ≤ Ж"  # the last letter is not in the small copy


def drawn(kind: str) -> bytes:
    figure, data = Figure(figsize=(2, 1)), io.BytesIO()
    figure.text(0.1, 0.5, TEXT)
    figure.text(0.1, 0.1, "sr4", fontweight="bold")
    figure.savefig(data, format=kind, metadata={"Software": None} if kind == "png" else {})
    return data.getvalue()


def test_pictures_are_those_of_the_whole_font(tmp_path, monkeypatch):
    monkeypatch.setattr(mpl, "get_cachedir", lambda: str(tmp_path))
    before = list(fontManager.ttflist)
    with drawing_style():
        small = drawn("png")
        assert b"FontFile2" in drawn("pdf")  # TrueType, which journals ask for
    assert fontManager.ttflist == before
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        assert drawn("png") == small
    copies = sorted(tmp_path.iterdir())
    assert len(copies) == 2 and all(path.stat().st_size < 2e5 for path in copies)


def test_without_a_place_for_copies_figures_are_drawn_from_the_whole_font(tmp_path, monkeypatch):
    monkeypatch.setattr(mpl, "get_cachedir", lambda: str(tmp_path / "absent"))
    with drawing_style():
        assert mpl.rcParams["font.family"] == ["sans-serif"]
        assert drawn("png")


def test_a_copy_that_is_there_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(mpl, "get_cachedir", lambda: str(tmp_path))
    monkeypatch.setattr(_font, "_make", lambda font, path: path.write_bytes(b"made"))
    first = _font.small_copy(mpl.get_data_path() + "/fonts/ttf/DejaVuSans.ttf")
    monkeypatch.setattr(_font, "_make", None)
    assert _font.small_copy(mpl.get_data_path() + "/fonts/ttf/DejaVuSans.ttf") == first
