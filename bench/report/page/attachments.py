"""Files that are embedded in the page, and that a reader saves with one click."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path

from bench.core.artefacts import ArtefactError

LARGEST_PLAIN = 50_000  # bytes of a file that is not compressed


@dataclass(frozen=True)
class Attachment:
    """A file inside the page: `href` is a data URL with all of it; `name` ends in .gz where it is compressed."""

    name: str
    href: str


def attached(path: Path) -> Attachment:
    """Return a text file as an attachment; equal files give equal bytes. ArtefactError when it is missing."""
    data = existing(path).read_bytes()
    if len(data) <= LARGEST_PLAIN:
        return Attachment(path.name, data_url("text/csv", data))
    return Attachment(f"{path.name}.gz", data_url("application/gzip", gzip.compress(data, mtime=0)))


def data_url(kind: str, data: bytes) -> str:
    """Return a data URL; kind: its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def existing(path: Path) -> Path:
    """Return the path; ArtefactError, one line, when there is no file."""
    if not path.exists():
        raise ArtefactError(f"{path}: is missing; run the workflow again to make it")
    return path
