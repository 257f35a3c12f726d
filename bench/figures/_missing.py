"""The picture that replaces a figure which could not be drawn, with the reason."""

from __future__ import annotations

import csv
import io
import textwrap

from matplotlib.figure import Figure

from bench.core.results import Drawing
from bench.figures._style import INK, MUTED, WIDTH, plain


def missing(name: str, reason: str) -> Drawing:
    """Return the name of a figure and the reason why there is none, as a picture and as a csv."""
    lines = textwrap.wrap(reason, 90, max_lines=6)
    figure = Figure(figsize=(WIDTH, 0.7 + 0.16 * len(lines)))
    figure.text(0.03, 0.92, plain(f"{name}: no figure"), va="top", color=INK, fontweight="bold")
    figure.text(0.03, 0.68, plain("\n".join(lines)), va="top", color=MUTED, fontsize=7)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["reason"], [reason]])
    return Drawing(figure, text.getvalue())
