"""How all figures look, and how one is saved."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.core.artefacts import Json, write_bytes, write_csv
from bench.report.tables import ROLES

WIDTH = 7.2  # inches: the text width of a one-column paper
HEIGHT = 9.4  # inches: what a page of paper holds above a caption
MUTED = "#6b7280"
HAIRLINE = "#d4d7dd"
INK = "#1f2430"
# the exact posterior, where it is one point
STAR = {"marker": "*", "markersize": 10, "color": INK, "markerfacecolor": "none", "markeredgewidth": 0.8, "zorder": 4}
RC = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa1ac",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "pdf.fonttype": 42,
}
# Okabe and Ito's colours without yellow, which is faint on white, then five darker ones
_COLOURS = ("#0072B2", "#8a8f98", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b3a8c", "#7a4a1d")
_COLOURS += ("#b5123e", "#3d6b2f", "#2f3e6b")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "H")  # one fewer than colours: pairs repeat after 132


@dataclass(frozen=True)
class Look:
    colour: str
    marker: str


@dataclass(frozen=True)
class Drawing:
    """A figure under its file name, with the csv of the values in it."""

    stem: str
    figure: Figure
    csv: str


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of each method by its place in the config, the same in every figure."""
    return {m: Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]) for i, m in enumerate(methods)}


def labelled(method: str) -> str:
    return f"{method} ({ROLES[method]})" if method in ROLES else method


def handles(methods: Sequence[str], line: bool = False) -> list[Line2D]:
    """What stands for each method in a legend: its marker, on a line where the figure has lines."""
    style = {"markersize": 4, "linewidth": 1, "linestyle": "-" if line else "none"}
    found = looks(methods).items()
    return [Line2D([], [], color=look.colour, marker=look.marker, label=labelled(m), **style) for m, look in found]


def save(drawing: Drawing, folder: Path, info: Json) -> None:
    """Write pdf, png (160 dpi) and csv of one stem; equal drawings give equal bytes."""
    formats = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
    for suffix, metadata in formats.items():
        data = io.BytesIO()
        drawing.figure.savefig(data, format=suffix, dpi=160, metadata=metadata)
        write_bytes(folder / f"{drawing.stem}.{suffix}", data.getvalue())
    write_csv(folder / f"{drawing.stem}.csv", drawing.csv, info)


def small_panels(titles: Mapping[str, str], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per title and its remark, at most four in a row, axes shared; `height` of one in inches."""
    num_columns = min(4, len(titles))
    num_rows = ceil(len(titles) / num_columns)
    figure = Figure(figsize=(WIDTH * (0.08 + 0.23 * num_columns), height * num_rows + 0.7), layout="constrained")
    panels = list(figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False).flat)
    for spare in panels[len(titles) :]:
        spare.remove()
    panels = panels[: len(titles)]
    for panel in panels[-num_columns:]:  # what is above an empty place has no labels below it
        panel.tick_params(labelbottom=True)
    for panel, (title, remark) in zip(panels, titles.items(), strict=True):
        lines = textwrap.wrap(remark, 38, break_on_hyphens=False)
        panel.set_title(title, loc="left", fontweight="bold", pad=4 + 6.5 * len(lines))
        words = panel.text(0, 1.03, "\n".join(lines), transform=panel.transAxes, fontsize=5.5, color=MUTED)
        words.set_in_layout(False)  # wider than its panel it would make that one narrower
        panel.grid(color=HAIRLINE, linewidth=0.4)
        panel.set_axisbelow(True)
    return figure, panels


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One legend above all panels, in rows that fit the width; the figure grows by those beyond two."""
    longest = max(len(handle.get_label()) for handle in handles)
    per_row = max(1, int(figure.get_figwidth() / (0.055 * longest + 0.42)))
    num_rows = ceil(len(handles) / per_row)
    figure.set_figheight(figure.get_figheight() + 0.17 * max(num_rows - 2, 0))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), per_row), columnspacing=1.4)


def scale(axes: Axes, direction: Literal["x", "y"], values: Sequence[float]) -> None:
    """Logarithmic where positive values span more than a factor of five, with ticks in plain numbers; else linear."""
    axis = axes.xaxis if direction == "x" else axes.yaxis
    span = max(values) / min(values) if len(values) and min(values) > 0 else 1.0
    if span < 5:
        axis.set_major_locator(MaxNLocator(4))
        return
    (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
    steps = (1, 2, 5) if span < 30 else (1, 3) if span < 1000 else (1,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
