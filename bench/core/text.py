"""Write numbers and words into csv, Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

# pandas' own escapes for LaTeX leave <, >, | and what pdflatex cannot set as they are
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
    """Return a csv with floats to six digits and None as an empty field."""
    import pandas as pd

    texts = [
        [f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows
    ]
    # as objects: pandas would turn a column of integers with a gap into floats
    return pd.DataFrame(texts, columns=list(columns), dtype=object).to_csv(
        index=False, lineterminator="\n"
    )


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numeric: bool = False
) -> str:
    """Return a Markdown table of cells that are escaped already; numeric: all columns but the first go to the right.

    Columns are not padded: a cell may be a paragraph, and one that grows does not change the lines of all others.
    """
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in rows], columns=list(columns), dtype=object)
    align = ["left", *["right" if numeric else "left"] * (len(frame.columns) - 1)]
    # numbers are text by now, and tabulate must not parse and round them again
    padded = frame.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=align)
    head, rule, *body = re.sub(r" +(?=\|)|(?<=\|) +", " ", padded).splitlines()
    return "\n".join([head, re.sub("-+", "---", rule), *body])


def rounded(mean: float, low: float | None, high: float | None) -> tuple[str, str, str]:
    """Return mean and ends of its interval with the decimals that the interval warrants.

    These are one or two digits of its half width. Without an interval, or with one of no width: three digits of the
    mean and empty ends. An infinite end is written as inf, and what is 100000 or more with an exponent.
    """
    if low is None or high is None or not high > low:
        return three_digits(mean), "", ""
    if max(abs(x) for x in (mean, low, high) if math.isfinite(x)) >= 1e5:
        return three_digits(mean), three_digits(low), three_digits(high)
    width = high - low if math.isfinite(high) else 2 * (mean - low)
    decimals = min(max(-math.floor(math.log10(width / 6)), 0), 4)
    return f"{mean:.{decimals}f}", f"{low:.{decimals}f}", f"{high:.{decimals}f}"


def three_digits(value: float) -> str:
    """Return a number to three digits; whole numbers in full, those from 100000 on as 1.23e5."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1e5:
        return f"{value:.2e}".replace("e+0", "e").replace("e+", "e")
    if value % 1 == 0:
        return f"{value:.0f}"
    decimals = min(max(2 - math.floor(math.log10(abs(value))), 0), 6)
    return f"{value:.{decimals}f}"


def latex(text: str) -> str:
    """Return text with LaTeX's special characters escaped; what pdflatex cannot set becomes a question mark."""
    return "".join(_LATEX.get(c, c if c.isascii() else "?") for c in text)


def markdown(text: str) -> str:
    """Return text that is safe inside a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def shortened(text: str, length: int = 110) -> str:
    """Return text, cut to `length` characters with ... at its end where it is longer."""
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


def format_settings(settings: Mapping[str, object]) -> str:
    """Return `zeta 0.3, num_steps 200`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def duration(seconds: float) -> str:
    """Return `1 h 02 min`, `25 min 10 s` or `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def roughly(seconds: float) -> str:
    """Return `40 s`, `14 min` or `1.5 h`, for an estimated time."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
