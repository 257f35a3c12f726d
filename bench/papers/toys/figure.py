"""Figures of distributions in the plane: densities, points and paths in a grid of square panels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench.core.results import Drawing
from bench.core.text import csv_text
from bench.figures._style import HAIRLINE, INK, MUTED, WIDTH

COLOURS = {
    "prior": "#0072B2",
    "constraint": "#009E73",
    "posterior": "#D55E00",
    "samples": "#5b3a8c",
    "other": "#7a4a1d",
}
NUM_CELLS = 100  # along the side of a drawn density
FAINT = 5e-3  # share of the peak: smaller values look white and are left out of the csv

Extent = tuple[float, float, float, float]  # left, right, bottom, top


@dataclass(frozen=True)
class Density:
    """Values (side, side), rows from the bottom, over a square; `outline` draws one contour instead of a surface."""

    name: str
    values: np.ndarray
    extent: Extent
    role: str
    outline: bool = False


@dataclass(frozen=True)
class Points:
    name: str
    points: np.ndarray  # (n, 2)
    role: str


@dataclass(frozen=True)
class Paths:
    name: str
    paths: np.ndarray  # (n, T, 2)
    role: str


Layer = Density | Points | Paths
Number = tuple[str, str, str, float]  # place, quantity, sampler, value


@dataclass(frozen=True)
class Panel:
    """Layers, drawn in order over the square of the first, a density; `remark` is small print below."""

    layers: Sequence[Layer]
    remark: str = ""


@dataclass(frozen=True)
class Board:
    """Panels in rows and columns, and the numbers that go with them into the csv."""

    columns: Sequence[str]
    rows: Sequence[str]
    panels: Sequence[Sequence[Panel]]
    numbers: Sequence[Number]
    note: str = ""  # below all panels


def draw(board: Board) -> Drawing:
    """Draw all panels square and of one size, columns named above, rows at the left."""
    size = (WIDTH - 0.25) / len(board.columns)
    remarks = sum(
        max(panel.remark.count("\n") + bool(panel.remark) for panel in row) for row in board.panels
    )
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(WIDTH, size * len(board.rows) + 0.11 * remarks + 0.4), layout=layout)
    axes = figure.subplots(len(board.rows), len(board.columns), squeeze=False)
    for places, row, panels in zip(axes, board.rows, board.panels, strict=True):
        for place, panel in zip(places, panels, strict=True):
            _draw_panel(place, panel)
        places[0].set_ylabel(row, fontweight="bold", color=INK)
    for place, column in zip(axes[0], board.columns, strict=True):
        place.set_title(column, fontweight="bold", pad=4)
    figure.supxlabel(board.note, fontsize=6, color=MUTED)
    return Drawing(figure, csv_text(("panel", "layer", "kind", "x", "y", "value"), _rows(board)))


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for layer in panel.layers:
        colour = COLOURS[layer.role]
        match layer:
            case Density(outline=True):
                values = _coarse(layer.values)
                level = _level_of_mass(values, 0.9)
                x, y = _ticks(layer.extent, len(values))
                axes.contour(x, y, values, levels=[level], colors=[colour], linewidths=0.6)
            case Density():
                values = _coarse(layer.values)
                # full colour below the peak, so that a sharp peak leaves the rest visible
                full = max(_level_of_mass(values, 0.1), 1e-12)
                scale = LinearSegmentedColormap.from_list(colour, ["white", colour])
                style = {"cmap": scale, "vmin": 0, "vmax": full, "interpolation": "bilinear"}
                axes.imshow(values, origin="lower", extent=layer.extent, rasterized=True, **style)
            case Points():
                axes.scatter(
                    *layer.points.T, s=1.6, color=colour, alpha=0.5, linewidths=0, rasterized=True
                )
            case Paths():
                axes.add_collection(
                    LineCollection([*layer.paths], colors=colour, linewidths=0.4, alpha=0.55)
                )
    left, right, bottom, top = cast(Density, panel.layers[0]).extent
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=HAIRLINE, linewidth=0.6)
    if panel.remark:
        axes.set_xlabel(panel.remark, fontsize=5.5, color=MUTED, labelpad=1.5)


def _rows(board: Board) -> Iterator[tuple]:
    """Yield the rows of the csv: first everything that is drawn, then the numbers."""
    for row, panels in zip(board.rows, board.panels, strict=True):
        for column, panel in zip(board.columns, panels, strict=True):
            for layer in panel.layers:
                place = (f"{row} / {column}".replace("\n", " "), layer.name)
                yield from ((*place, *values) for values in _values(layer))
    for place, quantity, sampler, value in board.numbers:
        yield place, f"{quantity}: {sampler}", "number", None, None, value


def _values(layer: Layer) -> Iterator[tuple[str, float, float, float | None]]:
    match layer:
        case Density():
            values = _coarse(layer.values)
            x, y = _ticks(layer.extent, len(values))
            for i, j in np.argwhere(values > FAINT * values.max()):
                yield (
                    "density",
                    round(float(x[j]), 3),
                    round(float(y[i]), 3),
                    float(f"{values[i, j]:.3g}"),
                )
        case Points():
            yield from (
                ("point", round(float(x), 3), round(float(y), 3), None) for x, y in layer.points
            )
        case Paths():
            for number, path in enumerate(layer.paths):
                yield from (
                    ("path", round(float(x), 3), round(float(y), 3), number) for x, y in path
                )


def _coarse(values: np.ndarray) -> np.ndarray:
    """Return means of blocks of cells, so that at most NUM_CELLS remain along the side."""
    block = max(1, len(values) // NUM_CELLS)
    side = len(values) // block
    return values[: side * block, : side * block].reshape(side, block, side, block).mean((1, 3))


def _ticks(extent: Extent, side: int) -> tuple[np.ndarray, np.ndarray]:
    left, right, bottom, top = extent
    middle = (np.arange(side) + 0.5) / side
    return left + middle * (right - left), bottom + middle * (top - bottom)


def _level_of_mass(values: np.ndarray, share: float) -> float:
    """Return the density above which `share` of the mass lies."""
    ordered = np.sort(values, axis=None)[::-1]
    total = ordered.cumsum()
    return float(ordered[np.searchsorted(total, share * total[-1])])
