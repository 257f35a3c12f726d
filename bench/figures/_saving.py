"""Write a drawing to its files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.core.artefacts import Json, write_csv
from bench.core.results import Drawing

DPI = 160
MARK = "rehearsal"
FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


def save(drawing: Drawing, folder: Path, stem: str, info: Json) -> None:
    """Write pdf, png (`DPI`) and csv with the name `stem`; equal drawings give equal bytes.

    `savefig` chooses the backend by the format, so that the user's setting has no effect. The figure of a rehearsal
    says so across its middle, since a picture is easily copied without its name.
    """
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


def lay_out(figure: Figure) -> None:
    """Place the parts of a figure once, for all formats; `savefig` would do so, and draw in vain, for each of them."""
    engine = figure.get_layout_engine()
    if engine is not None:
        if figure.axes:  # without any, nothing has to be placed, and matplotlib would warn
            figure.set_dpi(DPI)
            engine.execute(figure)
        figure.set_layout_engine(None)  # places remain
