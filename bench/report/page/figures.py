"""The figures of a suite beside the page, and pictures of those that the page does not draw itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.report.page.attachments import data_url, existing
from bench.report.page.charts import caption_of

WIDTH = 1400  # pixels of a picture at most
COLOURS = 64


@dataclass(frozen=True)
class Figure:
    """A figure as the page shows it; `image` is a data URL of `width` x `height` pixels."""

    stem: str
    caption: str
    image: str
    width: int
    height: int


def read_figure(folder: Path, stem: str) -> Figure:
    """Return the figure `<stem>.png` as a picture of few colours; ArtefactError, one line, when it is missing."""
    with Image.open(existing(folder / f"{stem}.png")) as opened:
        image = opened.convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)))
    data = io.BytesIO()
    image.quantize(COLOURS).convert("RGB").save(data, "webp", lossless=True, quality=80)
    url = data_url("image/webp", data.getvalue())
    return Figure(stem, caption_of(stem), url, image.width, image.height)
