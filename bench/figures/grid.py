"""Pictures of one task: measurement, truth, and samples, mean and standard deviation of every method."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.core.results import REFERENCE_DRAWS, Drawing, SampleSet, TaskSamples
from bench.core.text import csv_text, shortened
from bench.figures._pictures import (
    SPREAD,
    Picture,
    coloured,
    largest_spread,
    pictures,
    sample_kinds,
)
from bench.figures._style import HAIRLINE, INK, MUTED, WIDTH, plain

__all__ = ["Grid"]

_STEP = 1.06  # from one picture to the next, in widths of a picture
MANY = 500  # pictures of a figure
# room for words above the first and the second row, and for the colour bar below the last
_HEAD, _FOOT = 0.62, 1.0
_CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}


@dataclass(frozen=True)
class Grid:
    """The first measurements side by side, with a row of pictures per method."""

    num_measurements: int = 3  # the first ones of the task
    num_samples: int = 3  # of each method

    caption: ClassVar[str] = (
        "The first measurements of the task. At the top: the measurement y (blue where nothing was measured) and the "
        "true image. Below, for reference draws of the posterior and for each method: three samples, and the mean and "
        "pixelwise standard deviation of all samples. Standard deviations share one colour scale per measurement, "
        "which ends at twice the largest of the reference draws. Images are shown on [-1, 1]; a measurement that is "
        "not a colour image is shown on its own range. Other prior: the method saw another prior than that of the "
        "reference posterior."
    )

    def draw(self, results: TaskSamples) -> Drawing:
        seen, sets = dict(results.measured), results.sample_sets
        num_groups = min(self.num_measurements, len(seen["x_true"]))
        groups = [pictures(i, seen, sets, self.num_samples) for i in range(num_groups)]
        longest = max(len(line) for each in sets for line in _name(each).split("\n"))
        names = longest * 0.06 + 0.12
        side = min((WIDTH - names) / (self._group * num_groups), 0.6)
        bottom = _top(len(sets) + 1)
        figure = Figure(
            figsize=(names + side * self._group * num_groups, side * (bottom + _HEAD + _FOOT))
        )
        # joined into one, as in a pdf by default, many pictures take a time that grows with the square of their number
        figure.suppressComposite = True if len(groups) * len(groups[0]) > MANY else None
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        for row, sample_set in enumerate(sets, start=1):
            axes.text(-0.15, _top(row) + 0.5, plain(_name(sample_set)), ha="right", va="center")
        for i, shown in enumerate(groups):
            left = i * self._group
            self._draw_group(axes, left, i, shown)
            self._draw_reasons(axes, left, sets, i)
            _draw_colour_bar(
                axes, left + self.num_samples * _STEP, bottom + 0.12, largest_spread(shown)
            )
        axes.set(
            xlim=(-names / side, self._group * num_groups),
            ylim=(bottom + _FOOT, -_HEAD),
            aspect="auto",
        )
        return Drawing(figure, _csv(groups))

    @property
    def _group(self) -> float:
        """Return the width of one measurement's pictures with the gap after them, in widths of a picture."""
        return _STEP * (self.num_samples + 2) + 0.3

    def _draw_group(self, axes: Axes, left: float, i: int, shown: Sequence[Picture]) -> None:
        columns = {
            kind: column
            for column, kind in enumerate((*sample_kinds(self.num_samples), "mean", "std"))
        }
        columns |= {"y": 0, "x_true": 1}
        spread = largest_spread(shown)
        for picture in shown:
            _draw_picture(axes, left + columns[picture.kind] * _STEP, picture, spread)
        heads = (("y", 0, 0), ("truth", 1, 0), ("samples", (self.num_samples - 1) / 2, 1))
        for words, column, row in (
            *heads,
            ("mean", columns["mean"], 1),
            ("std", columns["std"], 1),
        ):
            place = left + column * _STEP + 0.5, _top(row) - 0.12
            axes.text(*place, words, ha="center", va="bottom", fontsize=6, color=MUTED)
        axes.text(
            left + 2 * _STEP + 0.1, 0.5, f"measurement {i}", va="center", fontsize=6.5, color=INK
        )

    def _draw_reasons(self, axes: Axes, left: float, sets: Sequence[SampleSet], i: int) -> None:
        for row, sample_set in enumerate(sets, start=1):
            if reason := sample_set.why_not(i):
                width = self._group - 0.36
                box = {"facecolor": "#f3f4f6", "edgecolor": HAIRLINE, "linewidth": 0.5}
                axes.add_patch(Rectangle((left, _top(row)), width, 1, **box))
                words = plain(textwrap.fill(shortened(reason, 90), 34))
                axes.text(
                    left + width / 2, _top(row) + 0.5, words, fontsize=6, color=MUTED, **_CENTRED
                )


def _name(sample_set: SampleSet) -> str:
    """Return the name of a row, with a remark below it where there is one."""
    name = "reference" if sample_set.name == REFERENCE_DRAWS else sample_set.name
    return f"{name}\n({sample_set.remark})" if sample_set.remark else name


def _draw_picture(axes: Axes, x: float, picture: Picture, spread: float) -> None:
    y = _top(picture.row)
    if picture.class_shown is not None:
        axes.text(x + 0.5, y + 0.5, str(picture.class_shown), fontsize=11, color=INK, **_CENTRED)
    else:
        axes.imshow(coloured(picture, spread), extent=(x, x + 1, y + 1, y), interpolation="nearest")
    if picture.row == 0:
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=HAIRLINE, linewidth=0.5))


def _draw_colour_bar(axes: Axes, start: float, top: float, spread: float) -> None:
    width = 2 * _STEP - 0.06
    place = (start, start + width, top + 0.16, top)
    axes.imshow(np.linspace(0, 1, 128)[None], extent=place, cmap=SPREAD, aspect="auto")
    small: dict[str, Any] = {"va": "top", "fontsize": 6, "color": MUTED}
    axes.text(start, top + 0.26, "0", ha="left", **small)
    axes.text(start + width / 2, top + 0.26, "std", ha="center", **small)
    axes.text(start + width, top + 0.26, f"{spread:.2g}", ha="right", **small)


def _top(row: int) -> float:
    """Return the upper edge of a row, below the room for words."""
    return row * _STEP + (_HEAD if row else 0)


def _csv(groups: Sequence[Sequence[Picture]]) -> str:
    rows = (
        (p.source, i, p.kind, *index, "" if np.isnan(value) else round(float(value), 4))
        for i, shown in enumerate(groups)
        for p in shown
        for index, value in np.ndenumerate(p.image)
    )
    return csv_text(("panel", "observation", "kind", "channel", "row", "column", "value"), rows)
