"""Small copies of matplotlib's font, which make a figure's pdf several times as fast.

A pdf holds the glyphs that it shows. To cut them out of a font of 6,000 glyphs takes longer than to draw the figure, so a
copy with the usual ones is made once, lies in matplotlib's cache, and is searched first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fontTools
import matplotlib as mpl
from fontTools import subset
from matplotlib.font_manager import FontProperties, findfont, fontManager

FAMILY, WHOLE = "DejaVu Sans", "DejaVu Sans, whole"
# Latin, Greek, punctuation, raised digits, arrows, mathematical operators, geometric shapes
BLOCKS = ((0x20, 0x17F), (0x370, 0x3FF), (0x2010, 0x209F), (0x2190, 0x22FF), (0x25A0, 0x25FF))


@contextlib.contextmanager
def small_fonts() -> Iterator[None]:
    """Take text from small copies of the font inside the block, and glyphs that they lack from the whole one."""
    before = list(fontManager.ttflist)
    with contextlib.suppress(OSError):  # no place for the copies: figures take longer
        for weight in ("normal", "bold"):
            whole = str(findfont(FontProperties(family=FAMILY, weight=weight)))
            fontManager.ttflist += [
                replace(entry, name=WHOLE) for entry in before if entry.fname == whole
            ]
            _put_first(small_copy(whole))
        mpl.rcParams["font.family"] = [FAMILY, WHOLE]
    try:
        yield
    finally:
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


def _put_first(file: Path) -> None:
    """Have matplotlib find a font before others of its name."""
    num = len(fontManager.ttflist)
    fontManager.addfont(file)
    fontManager.ttflist[:] = fontManager.ttflist[num:] + fontManager.ttflist[:num]


def _make(font: str, path: Path) -> None:
    """Write the small copy of a font, with its kerning and hints."""
    options = subset.Options(glyph_names=True, layout_features=["*"], name_IDs=["*"], hinting=True)
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
