"""Tables of published numbers: those with the protocol of ours next to ours, the others with their first difference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.core.results import Summary
from bench.core.text import markdown, markdown_table, rounded
from bench.papers.matching import Match, list_values
from bench.papers.protocols import ASPECTS
from bench.papers.published import MARKS, Paper, PublishedNumber

RULE = (
    "A published number is shown beside ours only if dataset and size of the images, operator and its parameters, "
    "sigma_y, weights of the prior, method, number of images N, network calls per sample (NFE) and the definition of "
    "the metric are the same. Hyperparameters are not compared; the paper's are printed. For all other numbers the "
    "first of these that differs is named, where unknown means that no source gives it. Marks: "
    + ", ".join(f"{mark} seen in {where}" for mark, where in MARKS.items())
    + ". Numbers and protocols: results/published"
)
NO_MATCH = "No published number was made by the protocol of a row of this suite"
MATCHED = ("task", "method", "metric", "ours", "published", "where", "settings of the paper")
UNMATCHED = ("paper", "numbers", "where", "why not beside ours")
THEIRS = ("paper", "table", "prior", "method", "dataset", "task", "metric", "value", "mark")
OURS = ("our_task", "our_method", "our_spec", "mean", "low", "high", "reason")


@dataclass(frozen=True)
class PublishedTables:
    """Two tables of text. matched: published numbers and ours; unmatched: the others, counted by paper and reason."""

    matched: pd.DataFrame
    unmatched: pd.DataFrame


def published_tables(papers: Sequence[Paper], matches: Sequence[Match]) -> PublishedTables:
    """Return the two tables of published.md and of the page."""
    by_name = {paper.paper: paper for paper in papers}
    matched = [
        _matched_row(by_name[m.number.paper], m.number, ours) for m in matches for ours in m.ours
    ]
    unmatched = []
    for paper in papers:
        unmatched += _unmatched_rows(
            paper, [match for match in matches if match.number.paper == paper.paper]
        )
    return PublishedTables(
        pd.DataFrame(matched, columns=[*MATCHED]), pd.DataFrame(unmatched, columns=[*UNMATCHED])
    )


def published_frame(matches: Sequence[Match]) -> pd.DataFrame:
    """Return published.csv: every published number with ours, or with the reason why there is none."""
    rows = []
    for match in matches:
        printed = [getattr(match.number, name) for name in THEIRS]
        if match.difference:
            rows.append([*printed, "", "", "", None, None, None, str(match.difference)])
        rows += [
            [*printed, x.task, x.method, x.metric, x.mean, x.low, x.high, x.reason]
            for x in match.ours
        ]
    return pd.DataFrame(rows, columns=[*THEIRS, *OURS])


def published_markdown(title: str, tables: PublishedTables) -> str:
    """Return the text of published.md."""
    matched = f"{NO_MATCH}." if tables.matched.empty else markdown_of(tables.matched)
    unmatched = [] if tables.unmatched.empty else [markdown_of(tables.unmatched)]
    return "\n\n".join([f"# {markdown(title)}", f"{RULE}.", matched, *unmatched]) + "\n"


def csv_of(frame: pd.DataFrame) -> str:
    """Return a table as csv with numbers to six digits and missing ones empty."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def markdown_of(frame: pd.DataFrame) -> str:
    """Return a table of text in Markdown."""
    return markdown_table(
        [*frame.columns], ([*map(markdown, row)] for row in frame.itertuples(index=False))
    )


def _matched_row(paper: Paper, number: PublishedNumber, ours: Summary) -> tuple[str, ...]:
    where = f"{paper.name}, {number.table}, {number.method} [{number.mark}]"
    settings = "; ".join(part for part in (number.settings, number.remark, paper.remark) if part)
    cells = (format_interval(ours), format_printed(number), where, settings)
    return ours.task, ours.method, number.spec, *cells


def format_interval(ours: Summary) -> str:
    """Return `24.2 [23.9, 24.5]`, followed by the reason if there is one."""
    mean, low, high = ("", "", "") if ours.mean is None else rounded(ours.mean, ours.low, ours.high)
    interval = f"{mean} [{low}, {high}]" if low else mean
    return " ".join(part for part in (interval, ours.reason) if part)


def format_printed(number: PublishedNumber) -> str:
    """Return a number as it is printed: `0.422 ± 0.225 (3 seeds)`."""
    spread = f" ± {number.spread} ({number.spread_of})" if number.spread else ""
    return f"{number.value}{spread}"


def _unmatched_rows(paper: Paper, matches: Sequence[Match]) -> list[tuple[str, ...]]:
    """Return one row for each way in which numbers of a paper differ from ours."""
    who = f"{paper.name}, {paper.venue}, {paper.source}"
    if not matches:
        return [(who, "0", "", paper.remark)]
    groups: dict[tuple[str, str], list[PublishedNumber]] = {}
    theirs: dict[tuple[str, str], list[str]] = {}
    for match in matches:
        if match.difference:
            key = (match.difference.aspect, match.difference.why)
            groups.setdefault(key, []).append(match.number)
            theirs.setdefault(key, []).append(match.difference.theirs)
    order = (*ASPECTS, "metric")
    return [
        (
            who,
            str(len(groups[key])),
            _format_tables(groups[key]),
            f"{key[0]} {list_values(theirs[key])} {key[1]}",
        )
        for key in sorted(groups, key=lambda key: order.index(key[0]))
    ]


def _format_tables(numbers: Sequence[PublishedNumber]) -> str:
    """Return the places of numbers in their paper: `Tables 1, 3, 4; text`."""
    names = list(dict.fromkeys(number.table for number in numbers))
    digits = sorted(
        int(digit)
        for name in names
        if name.startswith("Table")
        for digit in re.findall(r"\d+", name)
    )
    tables = (
        [f"Table{'s' if len(digits) > 1 else ''} {', '.join(map(str, digits))}"] if digits else []
    )
    return "; ".join([*tables, *(name for name in names if not name.startswith("Table"))])
