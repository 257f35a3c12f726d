"""Pictures of one task: measurement, truth, and samples, mean and standard deviation of every method."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.core.text import csv_text, shortened
from bench.figures.pictures import SPREAD, Picture, coloured, largest_spread, pictures, sample_kinds
from bench.figures.style import HAIRLINE, INK, MUTED, WIDTH, Drawing
from bench.report.draws import Source

NUM_SAMPLES, NUM_OBSERVATIONS = 3, 3
_COLUMNS = {"y": 0, "x_true": 1}
_COLUMNS |= {kind: column for column, kind in enumerate((*sample_kinds(NUM_SAMPLES), "mean", "std"))}
_STEP = 1.06  # from one picture to the next, in widths of a picture
_GROUP = _STEP * (NUM_SAMPLES + 2) + 0.3
_HEAD, _FOOT = 0.62, 1.0  # room for words above the first and the second row, for the colour bar below the last


def grid(task: str, seen: dict[str, np.ndarray], sources: Sequence[Source]) -> Drawing:
    """The first measurements side by side, sources down; `seen` holds x_true (m, *x), y (m, *y) and possibly mask."""
    groups = [pictures(i, seen, sources, NUM_SAMPLES) for i in range(min(NUM_OBSERVATIONS, len(seen["x_true"])))]
    names = max(len(source.name) for source in sources) * 0.06 + 0.12
    side = min((WIDTH - names) / (_GROUP * len(groups)), 0.6)
    bottom = _top(len(sources) + 1)
    figure = Figure(figsize=(names + side * _GROUP * len(groups), side * (bottom + _HEAD + _FOOT)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for row, source in enumerate(sources, start=1):
        axes.text(-0.15, _top(row) + 0.5, source.name, ha="right", va="center")
    for i, shown in enumerate(groups):
        _draw_group(axes, i * _GROUP, i, shown)
        _draw_reasons(axes, i * _GROUP, sources, i)
        _draw_colour_bar(axes, i * _GROUP, bottom + 0.12, largest_spread(shown))
    axes.set(xlim=(-names / side, _GROUP * len(groups)), ylim=(bottom + _FOOT, -_HEAD), aspect="auto")
    return Drawing(f"grid-{task}", figure, _csv(groups))


def _draw_group(axes: Axes, left: float, i: int, shown: Sequence[Picture]) -> None:
    spread = largest_spread(shown)
    for picture in shown:
        x, y = left + _COLUMNS[picture.kind] * _STEP, _top(picture.row)
        if picture.class_shown is not None:
            axes.text(x + 0.5, y + 0.5, str(picture.class_shown), ha="center", va="center", fontsize=11, color=INK)
        else:
            axes.imshow(coloured(picture, spread), extent=(x, x + 1, y + 1, y), interpolation="nearest")
        if picture.row == 0:
            axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=HAIRLINE, linewidth=0.5))
    for words, column, row in (("y", 0, 0), ("truth", 1, 0), ("samples", 1, 1), ("mean", 3, 1), ("std", 4, 1)):
        x = left + column * _STEP + 0.5
        axes.text(x, _top(row) - 0.12, words, ha="center", va="bottom", fontsize=6, color=MUTED)
    axes.text(left + 2 * _STEP + 0.1, 0.5, f"measurement {i}", va="center", fontsize=6.5, color=INK)


def _draw_reasons(axes: Axes, left: float, sources: Sequence[Source], i: int) -> None:
    for row, source in enumerate(sources, start=1):
        if reason := source.why_not(i):
            width, box = _GROUP - 0.36, {"facecolor": "#f3f4f6", "edgecolor": HAIRLINE, "linewidth": 0.5}
            axes.add_patch(Rectangle((left, _top(row)), width, 1, **box))
            words = textwrap.fill(shortened(reason, 90), 34)
            axes.text(left + width / 2, _top(row) + 0.5, words, ha="center", va="center", fontsize=6, color=MUTED)


def _draw_colour_bar(axes: Axes, left: float, top: float, spread: float) -> None:
    start, width = left + NUM_SAMPLES * _STEP, 2 * _STEP - 0.06
    place = (start, start + width, top + 0.16, top)
    axes.imshow(np.linspace(0, 1, 128)[None], extent=place, cmap=SPREAD, aspect="auto")
    small = {"va": "top", "fontsize": 6, "color": MUTED}
    axes.text(start, top + 0.26, "0", ha="left", **small)
    axes.text(start + width / 2, top + 0.26, "std", ha="center", **small)
    axes.text(start + width, top + 0.26, f"{spread:.2g}", ha="right", **small)


def _top(row: int) -> float:
    """Upper edge of a row; the room for words below the measurement's row is part of it."""
    return row * _STEP + (_HEAD if row else 0)


def _csv(groups: Sequence[Sequence[Picture]]) -> str:
    rows = (
        (p.source, i, p.kind, *index, "" if np.isnan(value) else round(float(value), 4))
        for i, shown in enumerate(groups)
        for p in shown
        for index, value in np.ndenumerate(p.image)
    )
    return csv_text(("panel", "observation", "kind", "channel", "row", "column", "value"), rows)
