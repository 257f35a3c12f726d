"""The figures on the page: their pictures, captions and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.markers import MarkerStyle
from PIL import Image

from bench.core import registry
from bench.core.kinds import by_kind
from bench.core.results import BASELINES, REFERENCE
from bench.figures._style import INK, NO_KINDS, STAR, looks
from bench.report.page.attachments import Attachment, attached, data_url, existing


@dataclass(frozen=True)
class Figure:
    """A figure as the page shows it; `image` is a data URL of `width` x `height` pixels."""

    stem: str
    caption: str
    image: str
    width: int
    height: int
    csv: Attachment


@dataclass(frozen=True)
class Mark:
    """Colour and outline of a marker, `x,y x,y ...` within about [-0.7, 0.7], y down."""

    colour: str
    outline: str


def read_figure(folder: Path, stem: str) -> Figure:
    """Return the figure `<stem>.png` with `<stem>.csv`; ArtefactError, one line, when one of them is missing."""
    image = existing(folder / f"{stem}.png")
    with Image.open(image) as opened:
        width, height = opened.size
    url = data_url("image/png", image.read_bytes())
    return Figure(stem, caption_of(stem), url, width, height, attached(folder / f"{stem}.csv"))


def caption_of(stem: str) -> str:
    """Return the caption of the figure's plug-in; of `grid-<task>` that of the plug-in `grid`."""
    is_grid = stem.startswith("grid-") and not registry.find("figure", stem)
    return registry.load("figure", "grid" if is_grid else stem).caption


def marks(methods: Sequence[str], kinds: Mapping[str, str] = NO_KINDS) -> dict[str, Mark]:
    """Return the marker of each method as the figures have it, and of the exact posterior, which is a star there."""
    styles = looks(by_kind(methods, kinds, BASELINES), kinds)
    of_methods = {method: _mark(look.marker, look.colour) for method, look in styles.items()}
    return of_methods | {REFERENCE: _mark(STAR["marker"], INK)}


def _mark(marker: str, colour: str) -> Mark:
    """Return the outline of one of matplotlib's markers."""
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform()).to_polygons()[0]
    return Mark(colour, " ".join(f"{x:.2f},{-y:.2f}" for x, y in np.asarray(outline)))
