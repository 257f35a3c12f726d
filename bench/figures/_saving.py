"""Write a drawing to its files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from bench.core.artefacts import Json, write_csv
from bench.core.results import Drawing

FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


def save(drawing: Drawing, folder: Path, stem: str, info: Json) -> None:
    """Write pdf, png (160 dpi) and csv of one stem; equal drawings give equal bytes.

    Whatever backend the user has chosen, matplotlib writes png by Agg and pdf by its own backend here.
    """
    files = {}
    for suffix, metadata in FORMATS.items():
        data = io.BytesIO()
        drawing.figure.savefig(data, format=suffix, dpi=160, metadata=metadata)
        files[f"{stem}.{suffix}"] = data.getvalue()
    write_csv(folder / f"{stem}.csv", drawing.csv, info, files)
