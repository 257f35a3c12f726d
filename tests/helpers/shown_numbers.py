"""Read the numbers in the text of a page, and the published ones."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.repository import REPOSITORY

NUMBER = r"(-?\d+(?:\.\d+)?)"
Means = Mapping[tuple[str, str, str], float]  # by task, row and metric


def published_means(suite: str) -> dict[tuple[str, str, str], float]:
    """Return the means in the published summary.csv of a suite."""
    with open(REPOSITORY / "results/reference" / suite / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(x["task"], x["method"], x["metric"]): float(x["mean"]) for x in rows if x["mean"]}


def words_of(page: str) -> str:
    """Return the text of a page in docs, with single spaces."""
    return " ".join((REPOSITORY / "docs" / page).read_text().split())


def assert_shown(page: str, words: str, numbers: Sequence[float]) -> None:
    """Check that a text with # for numbers is in a page once, and that the page's numbers there are these, rounded."""
    pattern = re.escape(words).replace(r"\#", NUMBER).replace("#", NUMBER)
    (found,) = re.finditer(pattern, page)
    for shown, number in zip(found.groups(), numbers, strict=True):
        digits = len(shown.partition(".")[2])
        assert abs(number - float(shown)) <= 0.51 * 10.0**-digits, (words, shown, number)


def table_below(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the Markdown table below a heading, its head first."""
    text = page.read_text().split(f"\n{heading}\n")[1].split("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
