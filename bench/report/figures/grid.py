"""Pictures of one task: measurement, truth, and samples, mean and standard deviation of every method."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.report.figures.style import HAIRLINE, INK, MUTED, WIDTH, Drawing
from bench.report.text import csv_text, shortened

NUM_SAMPLES, NUM_OBSERVATIONS = 3, 3
_SAMPLES = tuple(f"sample {j}" for j in range(NUM_SAMPLES))
_COLUMNS = {"y": 0, "x_true": 1} | {kind: column for column, kind in enumerate((*_SAMPLES, "mean", "std"))}
_STEP = 1.06  # from one picture to the next, in widths of a picture
_GROUP = _STEP * (NUM_SAMPLES + 2) + 0.3
_HEAD, _FOOT = 0.62, 1.0  # room for words above the first and the second row, for the colour bar below the last
_UNOBSERVED = "#b9cfe6"
_SPREAD = "viridis"


@dataclass(frozen=True)
class Source:
    """Samples `x` of one method on the first m measurements `(m, s, *x)`, or s = 0 and the reason why."""

    name: str
    x: np.ndarray
    reason: str = ""


@dataclass(frozen=True)
class Picture:
    """`image` (c, h, w) in data units, NaN where nothing was observed; `row` 0 is the measurement's."""

    source: str
    row: int
    kind: str
    image: np.ndarray


def grid(task: str, seen: dict[str, np.ndarray], sources: Sequence[Source]) -> Drawing:
    """The first measurements side by side, sources down; `seen` holds x_true (m, *x), y (m, *y) and possibly mask."""
    groups = [_pictures(i, seen, sources) for i in range(min(NUM_OBSERVATIONS, len(seen["x_true"])))]
    names = max(len(source.name) for source in sources) * 0.06 + 0.12
    side = min((WIDTH - names) / (_GROUP * len(groups)), 0.6)
    bottom = _top(len(sources) + 1)
    figure = Figure(figsize=(names + side * _GROUP * len(groups), side * (bottom + _HEAD + _FOOT)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for row, source in enumerate(sources, start=1):
        axes.text(-0.15, _top(row) + 0.5, source.name, ha="right", va="center")
    for i, pictures in enumerate(groups):
        _draw_group(axes, i * _GROUP, i, pictures)
        _draw_reasons(axes, i * _GROUP, sources, i)
        _draw_colour_bar(axes, i * _GROUP, bottom + 0.12, _spread_norm(pictures))
    axes.set(xlim=(-names / side, _GROUP * len(groups)), ylim=(bottom + _FOOT, -_HEAD), aspect="auto")
    return Drawing(f"grid-{task}", figure, _csv(groups))


def _pictures(i: int, seen: dict[str, np.ndarray], sources: Sequence[Source]) -> list[Picture]:
    """Every picture of measurement `i`; a source with a reason gives none."""
    truth = Picture("truth", 0, "x_true", _image(seen["x_true"][i]))
    found = [Picture("measurement", 0, "y", _measurement(i, seen)), truth]
    for row, source in enumerate(sources, start=1):
        if _reason(source, i):
            continue
        x = source.x[i].astype(np.float64)
        spread = x.std(0, ddof=1) if len(x) > 1 else np.zeros_like(x[0])
        shown = dict(zip(_SAMPLES, x)) | {"mean": x.mean(0), "std": spread}
        found += [Picture(source.name, row, kind, _image(image)) for kind, image in shown.items()]
    return found


def _reason(source: Source, i: int) -> str:
    if source.reason or not source.x.shape[1]:
        return source.reason or "no samples"
    if i >= len(source.x):
        return f"n/a (only the first {len(source.x)} measurements)"
    return "" if np.isfinite(source.x[i]).all() else "failed (samples are not finite)"


def _measurement(i: int, seen: dict[str, np.ndarray]) -> np.ndarray:
    y = _image(seen["y"][i])
    if "mask" in seen:
        y[np.broadcast_to(_image(seen["mask"][i]), y.shape) == 0] = np.nan
    return y


def _image(x: np.ndarray) -> np.ndarray:
    """(c, h, w); a plane or a vector gets the axes that it lacks."""
    return np.array(x, np.float64).reshape((1,) * (3 - x.ndim) + x.shape)


def _draw_group(axes: Axes, left: float, i: int, pictures: Sequence[Picture]) -> None:
    norm = _spread_norm(pictures)
    for picture in pictures:
        x, y = left + _COLUMNS[picture.kind] * _STEP, _top(picture.row)
        if _is_class(picture):
            axes.text(x + 0.5, y + 0.5, str(picture.image.argmax()), ha="center", va="center", fontsize=11, color=INK)
        else:
            axes.imshow(_coloured(picture, norm), extent=(x, x + 1, y + 1, y), interpolation="nearest")
        if picture.row == 0:
            axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=HAIRLINE, linewidth=0.5))
    for words, column, row in (("y", 0, 0), ("truth", 1, 0), ("samples", 1, 1), ("mean", 3, 1), ("std", 4, 1)):
        x = left + column * _STEP + 0.5
        axes.text(x, _top(row) - 0.12, words, ha="center", va="bottom", fontsize=6, color=MUTED)
    axes.text(left + 2 * _STEP + 0.1, 0.5, f"measurement {i}", va="center", fontsize=6.5, color=INK)


def _is_class(picture: Picture) -> bool:
    """A strip of zeros with a one: a class for a measurement."""
    image = picture.image
    return picture.kind == "y" and image.shape[:2] == (1, 1) and sorted(image.ravel())[-2:] == [0, 1]


def _draw_reasons(axes: Axes, left: float, sources: Sequence[Source], i: int) -> None:
    for row, source in enumerate(sources, start=1):
        if reason := _reason(source, i):
            width, box = _GROUP - 0.36, {"facecolor": "#f3f4f6", "edgecolor": HAIRLINE, "linewidth": 0.5}
            axes.add_patch(Rectangle((left, _top(row)), width, 1, **box))
            words = textwrap.fill(shortened(reason, 90), 34)
            axes.text(left + width / 2, _top(row) + 0.5, words, ha="center", va="center", fontsize=6, color=MUTED)


def _draw_colour_bar(axes: Axes, left: float, top: float, norm: Normalize) -> None:
    start, width = left + NUM_SAMPLES * _STEP, 2 * _STEP - 0.06
    place = (start, start + width, top + 0.16, top)
    axes.imshow(np.linspace(0, 1, 128)[None], extent=place, cmap=_SPREAD, aspect="auto")
    small = {"va": "top", "fontsize": 6, "color": MUTED}
    axes.text(start, top + 0.26, "0", ha="left", **small)
    axes.text(start + width / 2, top + 0.26, "std", ha="center", **small)
    axes.text(start + width, top + 0.26, f"{norm.vmax:.2g}", ha="right", **small)


def _coloured(picture: Picture, norm: Normalize) -> np.ndarray:
    """RGB (h, w, 3): images grey on [-1, 1], measurements on their own range, spreads on one scale per measurement."""
    if picture.kind == "std":
        return colormaps[_SPREAD](norm(picture.image.mean(0)))[..., :3]
    low, high = (-1.0, 1.0) if picture.kind != "y" else _own_range(picture.image)
    levels = np.clip((picture.image - low) / (high - low), 0, 1)
    if len(levels) == 3:
        return np.moveaxis(np.nan_to_num(levels), 0, -1)
    grey = colormaps["gray"].with_extremes(bad=_UNOBSERVED)
    return grey(np.ma.masked_invalid(levels.mean(0)))[..., :3]


def _own_range(image: np.ndarray) -> tuple[float, float]:
    """From the 1st to the 98th percentile: the few large values of a Fourier amplitude do not leave the rest black."""
    low, high = np.nanpercentile(image, (1, 98)) if np.isfinite(image).any() else (0.0, 1.0)
    return low, high if high > low else low + 1


def _spread_norm(pictures: Sequence[Picture]) -> Normalize:
    return Normalize(0, max((p.image.mean(0).max() for p in pictures if p.kind == "std"), default=0.0) or 1.0)


def _top(row: int) -> float:
    """Upper edge of a row; the room for words below the measurement's row is part of it."""
    return row * _STEP + (_HEAD if row else 0)


def _csv(groups: Sequence[Sequence[Picture]]) -> str:
    rows = (
        (p.source, i, p.kind, *index, "" if np.isnan(value) else round(float(value), 4))
        for i, pictures in enumerate(groups)
        for p in pictures
        for index, value in np.ndenumerate(p.image)
    )
    return csv_text(("panel", "observation", "kind", "channel", "row", "column", "value"), rows)
