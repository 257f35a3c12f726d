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
    """Write pdf, png (160 dpi) and csv with the name `stem`; equal drawings give equal bytes.

    `savefig` chooses the backend by the format, so that the user's setting has no effect.
    """
    files = {}
    for suffix, metadata in FORMATS.items():
        data = io.BytesIO()
        drawing.figure.savefig(data, format=suffix, dpi=160, metadata=metadata)
        files[f"{stem}.{suffix}"] = data.getvalue()
    write_csv(folder / f"{stem}.csv", drawing.csv, info, files)
