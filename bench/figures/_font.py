"""Small copies of matplotlib's font, which make a figure's pdf several times as fast.

A pdf holds the glyphs that it shows. To cut them out of a font of 6,000 glyphs takes longer than to draw the figure, so
a copy with the usual ones is made once, lies in matplotlib's cache, and is searched first. fontTools, which cuts them
out, comes with matplotlib.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import fontTools
import matplotlib as mpl
from fontTools import subset
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager

FAMILY, WHOLE = "DejaVu Sans", "DejaVu Sans, whole"
# Latin, Greek, punctuation, raised digits, arrows, mathematical operators
BLOCKS = ((0x20, 0xFF), (0x391, 0x3C9), (0x2010, 0x208E), (0x2190, 0x2193), (0x2200, 0x226B))


@contextlib.contextmanager
def small_fonts() -> Iterator[None]:
    """Take text from small copies of the font inside the block, and glyphs that they lack from the whole one."""
    before, copies = list(fontManager.ttflist), list[Path]()
    wholes = [
        str(findfont(FontProperties(family=FAMILY, weight=weight))) for weight in ("normal", "bold")
    ]
    with contextlib.suppress(OSError):  # no place for the copies: figures take longer
        copies = [small_copy(whole) for whole in wholes]
    if copies:
        _put_first(copies, [replace(x, name=WHOLE) for x in before if x.fname in wholes])
        mpl.rcParams["font.family"] = [FAMILY, WHOLE]
    try:
        yield
    finally:
        for file in copies[:1]:
            fontManager.addfont(file)  # has matplotlib forget which fonts it has found
        fontManager.ttflist[:] = before


def small_copy(font: str) -> Path:
    """Return the file of a font's small copy, which is made where there is none."""
    data = Path(font).read_bytes()
    made_by = f"{fontTools.version} {BLOCKS}".encode()
    name = f"posterior-bench-{hashlib.sha256(data + made_by).hexdigest()[:16]}.ttf"
    path = Path(mpl.get_cachedir()) / name
    if not path.exists():
        _make(font, path)
    return path


def _put_first(files: Sequence[Path], last: Sequence[FontEntry]) -> None:
    """Have matplotlib find fonts before others of their name, and know those of `last`, too."""
    num = len(fontManager.ttflist)
    for file in files:
        fontManager.addfont(file)
    known = fontManager.ttflist
    fontManager.ttflist[:] = [*known[num:], *known[:num], *last]


def _make(font: str, path: Path) -> None:
    """Write the small copy of a font, with its kerning and hints."""
    options = subset.Options(glyph_names=True, layout_features=["*"], name_IDs=["*"], hinting=True)
    options.drop_tables += ["FFTM"]  # when the font was edited
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[code for first, last in BLOCKS for code in range(first, last + 1)])
    whole = subset.load_font(font, options)
    cutter.subset(whole)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".ttf")
    try:
        with os.fdopen(handle, "wb") as file:
            whole.save(file)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
