"""Numbers and words as they are written into csv, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "–": "--",
}


def csv_text(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A csv with numbers to six digits and None as an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)
    return out.getvalue()


def rounded(mean: float, low: float | None, high: float | None) -> tuple[str, str, str]:
    """Mean and ends of its interval with the decimals that the interval warrants: one or two digits of its half width.

    Without an interval, or with one of no width, three digits of the mean and empty ends.
    """
    if low is None or high is None or not high > low:
        return _three_digits(mean), "", ""
    decimals = min(max(-math.floor(math.log10((high - low) / 6)), 0), 4)
    return tuple(f"{value:.{decimals}f}" for value in (mean, low, high))


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped; what pdflatex cannot set becomes a question mark."""
    return "".join(_LATEX.get(c, c if c.isascii() else "?") for c in text)


def markdown(text: str) -> str:
    """Text that is safe inside a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def shortened(text: str, length: int = 110) -> str:
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


def _three_digits(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1e5:
        return f"{value:.2e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.{min(max(2 - math.floor(math.log10(abs(value))), 0), 6)}f}" if value % 1 else f"{value:.0f}"
