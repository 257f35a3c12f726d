"""The picture that replaces a figure which could not be drawn, with the reason."""

from __future__ import annotations

import csv
import io
import textwrap

from matplotlib.figure import Figure

from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.core.results import Drawing
from bench.core.retries import note_failure
from bench.figures._saving import save
from bench.figures._style import INK, MUTED, WIDTH, drawing_style, plain


def write_missing(layout: Layout, name: str, reason: str, is_passing: bool) -> None:
    """Write the files of a figure that could not be drawn, and note the failure.

    is_passing: whether the same job may succeed in the next run.
    """
    info = {"suite": layout.root.name, "provenance": provenance()}
    with drawing_style():
        save(missing(name, reason), layout.figures, name, info)
    note_failure(layout.figure_files(name)[0], reason, is_passing)


def missing(name: str, reason: str) -> Drawing:
    """Return the name of a figure and the reason why there is none, as a picture and as a csv."""
    lines = textwrap.wrap(reason, 90, max_lines=6)
    figure = Figure(figsize=(WIDTH, 0.7 + 0.16 * len(lines)))
    figure.text(0.03, 0.92, plain(f"{name}: no figure"), va="top", color=INK, fontweight="bold")
    figure.text(0.03, 0.68, plain("\n".join(lines)), va="top", color=MUTED, fontsize=7)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["reason"], [reason]])
    return Drawing(figure, text.getvalue())
