"""The style that all figures share: fonts, colours and markers of methods, panels, legends, scales."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.core.kinds import OTHER
from bench.core.results import Results
from bench.figures._font import small_fonts

WIDTH = 7.2  # inches: the text width of a one-column paper
HEIGHT = 9.4  # inches: the room on a page of a paper, without the caption
MUTED = "#6b7280"
HAIRLINE = "#d4d7dd"
INK = "#1f2430"
# the reference posterior, where it is one point
STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 10,
    "color": INK,
    "markerfacecolor": "none",
    "markeredgewidth": 0.8,
    "zorder": 4,
}
RC: dict[Any, Any] = {
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
_COLOURS = (
    "#0072B2",
    "#8a8f98",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#5b3a8c",
    "#7a4a1d",
)
_COLOURS += ("#b5123e", "#3d6b2f", "#2f3e6b")
# where there are more methods than colours: one colour for each kind, in shades
_OF_KIND = {
    "guidance": "#0072B2",
    "split": "#D55E00",
    "SMC": "#009E73",
    "latent": "#8e4585",
    "amortised": "#E69F00",
    "control": "#b5123e",  # brown would be the dark shade of `split`
    "other": "#2f3e6b",
    "baseline": "#7d828b",
}
NO_KINDS: Mapping[str, str] = {}
# one fewer than colours: pairs repeat after 132
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "H")


@dataclass(frozen=True)
class Look:
    """Colour and marker of a method."""

    colour: str
    marker: str


@contextlib.contextmanager
def drawing_style() -> Iterator[None]:
    """Draw in the one style, starting from matplotlib's defaults whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        with small_fonts():
            yield


def plain(text: str) -> str:
    """Return a user's text (a name, an error message) escaped, so that matplotlib does not read it as mathematics."""
    return text.replace("$", r"\$")


def looks(methods: Sequence[str], kinds: Mapping[str, str] = NO_KINDS) -> dict[str, Look]:
    """Return colour and marker of each method, which depend on its place in `methods` and are the same in every figure.

    If there are more methods than colours, and several kinds, each kind has one colour, from dark to light.
    """
    if len(methods) <= len(_COLOURS) or len(set(kinds.values())) < 2:
        return {
            m: Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)])
            for i, m in enumerate(methods)
        }
    groups = _groups(methods, kinds)
    styles = {
        m: Look(_shade(_OF_KIND[kind], i, len(group)), _MARKERS[i % len(_MARKERS)])
        for kind, group in groups.items()
        for i, m in enumerate(group)
    }
    return {m: styles[m] for m in methods}


def _groups(methods: Iterable[str], kinds: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the methods of each kind."""
    groups: dict[str, list[str]] = {}
    for method in methods:
        groups.setdefault(kinds.get(method, OTHER), []).append(method)
    return groups


def _shade(colour: str, place: int, num_places: int) -> str:
    """Return a colour mixed with black at the first of several places, and with white at the last."""
    share = place / (num_places - 1) if num_places > 1 else 0.4
    mixed_with, weight = (0.0, 0.4 - share) if share < 0.4 else (1.0, 0.85 * (share - 0.4))
    channels = [(1 - weight) * c + weight * mixed_with for c in mpl.colors.to_rgb(colour)]
    return mpl.colors.to_hex(channels)


def handles(
    results: Results,
    shown: Collection[str] | None = None,
    line: bool = False,
    judged: Iterable[tuple[str, str]] = (),
) -> list[Line2D]:
    """Return the legend's handles of the methods in `shown` (None: all): markers, on a line where there are lines.

    judged: (task, method) of the points that are compared with a posterior; if one is hollow, a handle explains that.
    """
    style: dict[str, Any] = {"markersize": 4, "linewidth": 1, "linestyle": "-" if line else "none"}
    styles = looks(results.methods, results.kinds)
    named = [method for method in styles if shown is None or method in shown]
    names: dict[str, dict[str, Any]] = {}
    for kind, group in _groups(named, results.kinds).items():
        if len(styles) > len(_COLOURS) and len(set(results.kinds.values())) > 1:
            names[f"{kind}:"] = {"linestyle": "none"}
        for method in group:
            look = styles[method]
            names[plain(results.label(method))] = {"color": look.colour, "marker": look.marker}
    if not all(results.is_ranked(*pair) for pair in judged):
        names["hollow: saw another prior"] = {"color": MUTED, "marker": "o", **_hollow(MUTED)}
    return [Line2D([], [], label=name, **style | own) for name, own in names.items()]


def marked(results: Results, task: str, method: str, look: Look) -> dict[str, Any]:
    """Return colour and marker of a method on a task, hollow if it saw another prior than that of the posterior."""
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker}
    return style if results.is_ranked(task, method) else style | _hollow(look.colour)


def _hollow(colour: str) -> dict[str, Any]:
    edge = {"markeredgecolor": colour, "markeredgewidth": 0.8}
    # above other methods' markers
    return {"markerfacecolor": "white", **edge, "zorder": 6.5, "alpha": 1}


def star_handle(label: str = "reference posterior") -> Line2D:
    """Return the legend's handle of the reference posterior."""
    return Line2D([], [], linestyle="none", label=label, **STAR)


def small_panels(titles: Mapping[str, str], height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for each title (with its remark), at most four in a row, with shared axes.

    height: inches of a row.
    """
    num_columns = min(4, len(titles))
    num_rows = ceil(len(titles) / num_columns)
    # a single panel leaves room beside it, since the legend above needs the width of two
    figure = Figure(
        figsize=(WIDTH * (0.08 + 0.23 * max(num_columns, 2)), height * num_rows + 0.7),
        layout="constrained",
    )
    panels = list(
        figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False).flat
    )
    for spare in panels[len(titles) :]:
        spare.remove()
    panels = panels[: len(titles)]
    for panel in panels[-num_columns:]:  # a panel above an empty place, too, needs labels
        panel.tick_params(labelbottom=True)
    for panel, (title, remark) in zip(panels, titles.items(), strict=True):
        lines = textwrap.wrap(remark, 38, break_on_hyphens=False)
        size = 7.5 * min(1, 22 / max(len(title), 1))  # a longer one would run into the next panel
        panel.set_title(
            plain(title), loc="left", fontweight="bold", fontsize=size, pad=4 + 6.5 * len(lines)
        )
        words = panel.text(
            0, 1.03, plain("\n".join(lines)), transform=panel.transAxes, fontsize=5.5, color=MUTED
        )
        words.set_in_layout(False)  # else a remark wider than its panel would narrow that
        panel.grid(color=HAIRLINE, linewidth=0.4)
        panel.set_axisbelow(True)
    return figure, panels


def name_axes(figure: Figure, across: str, upwards: str) -> None:
    """Write the labels that all panels share, wrapped to fit the figure; those of a single panel are next to it."""
    across = textwrap.fill(across, int(17 * figure.get_figwidth()))
    # the labels of a figure would be far from a single square panel
    if len(figure.axes) == 1 and not figure.axes[0].get_ylabel():
        figure.axes[0].set(xlabel=across, ylabel=upwards)
        return
    figure.supxlabel(across, fontsize=7.5)
    figure.supylabel(upwards, fontsize=7.5)


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Draw one legend above all panels, in rows that fit the width; the figure grows by each row beyond two."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    per_row = max(1, int(figure.get_figwidth() / (0.055 * longest + 0.42)))
    handles = _headings_kept(handles, min(len(handles), per_row))
    num_rows = ceil(len(handles) / per_row)
    figure.set_figheight(figure.get_figheight() + 0.17 * max(num_rows - 2, 0))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), per_row),
        columnspacing=1.4,
    )


def _headings_kept(handles: Sequence[Artist], num_columns: int) -> list[Artist]:
    """Return handles with a gap before each heading (`SMC:`) that would otherwise be last in a column of the legend."""
    kept = list(handles)
    for _ in handles:
        # matplotlib makes the first columns longer
        size, longer = divmod(len(kept), num_columns)
        lengths = [size + (i < longer) for i in range(num_columns - 1)]
        ends = [sum(lengths[: i + 1]) - 1 for i in range(num_columns - 1)]
        alone = [end for end in ends if str(kept[end].get_label()).endswith(":")]
        if not alone or num_columns < 2:
            break
        kept.insert(alone[0], Line2D([], [], linestyle="none", label=" "))
    return kept


def scale(axes: Axes, direction: Literal["x", "y"], values: Sequence[float]) -> None:
    """Set a logarithmic scale with plain ticks if the values are positive and span a factor of five, else a linear one.

    If an unbiased distance has values of zero or less besides positive ones, the scale is linear near zero.
    """
    axis = axes.xaxis if direction == "x" else axes.yaxis
    if len(values) and min(values) <= 0 < max(values):
        _scale_through_zero(axes, direction, min(values), max(values))
        return
    span = max(values) / min(values) if len(values) and min(values) > 0 else 1.0
    if span < 5:
        axis.set_major_locator(MaxNLocator(4))
        return
    (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
    steps = (1, 2, 5) if span < 30 else (1, 3) if span < 1000 else (1,)
    # five-digit labels side by side would touch in a small panel
    most = 5 if direction == "x" and span >= 1000 else 12
    axis.set_major_locator(LogLocator(subs=steps, numticks=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _scale_through_zero(
    axes: Axes, direction: Literal["x", "y"], smallest: float, largest: float
) -> None:
    """Set a scale that is linear up to a hundredth of the largest value and logarithmic beyond; call it after drawing.

    It ends a little below zero, as a wide interval would otherwise fill half of the axis.
    """
    threshold = max(largest / 100, -2 * smallest)
    if largest < 5 * threshold:
        (axes.xaxis if direction == "x" else axes.yaxis).set_major_locator(MaxNLocator(4))
        return
    set_scale = axes.set_xscale if direction == "x" else axes.set_yscale
    set_scale("symlog", linthresh=threshold, linscale=0.6)
    axis = axes.xaxis if direction == "x" else axes.yaxis
    decades = range(floor(log10(threshold)), ceil(log10(largest)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 3)]
    axis.set_major_locator(FixedLocator([0, *(x for x in ticks if x >= threshold)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    lowest = min(-threshold, 1.2 * smallest)
    if direction == "x":
        axes.set_xlim(left=max(axes.get_xlim()[0], lowest))
    else:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], lowest))
