"""Write a drawing to its files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.core.artefacts import Json, write_csv
from bench.core.results import Drawing

DPI = 160
MOST_INCHES = (
    300  # of a figure's side: a longer one takes gigabytes, and png has no more than 65536 pixels
)
MARK = "rehearsal"
FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


def save(drawing: Drawing, folder: Path, stem: str, info: Json) -> None:
    """Write pdf, png (`DPI`) and csv with the name `stem`; equal drawings give equal bytes.

    `savefig` chooses the backend by the format, so that the user's setting has no effect. The figure of a rehearsal
    says so across its middle, since a picture is easily copied without its name. Raises ValueError, one line, for what
    is no drawing.
    """
    refuse_malformed(drawing)
    files = {}
    lay_out(drawing.figure)
    if "rehearsal" in info:
        style = {"size": 30, "rotation": 25, "ha": "center", "va": "center"}
        drawing.figure.text(0.5, 0.5, MARK, color="0.4", alpha=0.4, zorder=100, **style)
    for suffix, metadata in FORMATS.items():
        data = io.BytesIO()
        drawing.figure.savefig(data, format=suffix, dpi=DPI, metadata=metadata)
        files[f"{stem}.{suffix}"] = data.getvalue()
    write_csv(folder / f"{stem}.csv", drawing.csv, info, files)


def refuse_malformed(drawing: object) -> None:
    """Raise ValueError, one line, unless `draw` returned a figure of a sane size and the text of its csv."""
    if not isinstance(drawing, Drawing):
        raise ValueError(f"draw() returned {type(drawing).__name__}, expected a Drawing")
    for name, kind in (("figure", Figure), ("csv", str)):
        part = getattr(drawing, name)
        if not isinstance(part, kind):
            what = f"expected a matplotlib {kind.__name__}" if kind is Figure else "expected text"
            raise ValueError(f"draw() returned {type(part).__name__} as {name}, {what}")
    width, height = drawing.figure.get_size_inches()
    if not max(width, height) <= MOST_INCHES:
        raise ValueError(
            f"draw() returned a figure of {width:g} x {height:g} inches, expected at most {MOST_INCHES} each way"
        )


def lay_out(figure: Figure) -> None:
    """Place the parts of a figure once, for all formats; `savefig` would do so, and draw in vain, for each of them."""
    engine = figure.get_layout_engine()
    if engine is not None:
        if figure.axes:  # without any, nothing has to be placed, and matplotlib would warn
            figure.set_dpi(DPI)
            engine.execute(figure)
        figure.set_layout_engine(None)  # places remain
