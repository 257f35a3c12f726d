"""Published numbers beside ours as tables of words: the pairs of one protocol, and what differs in all others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.results import Summary
from bench.core.text import csv_text, markdown, rounded
from bench.papers.protocols import ASPECTS, Difference, Verdict, listed
from bench.papers.published import MARKS, Number, Paper

RULE = (
    "A published number stands beside ours only where dataset and size of the images, operator and its parameters, "
    "sigma_y, weights of the prior, method, number of images N, network calls per sample (NFE) and the definition of "
    "the metric are the same; hyperparameters are not compared, the paper's are printed. Otherwise the first of these "
    "that differs is named; unknown means that no source says it. Marks: "
    + ", ".join(f"{mark} seen in {where}" for mark, where in MARKS.items())
    + ". Numbers and protocols: results/published"
)
NO_PAIR = "No published number was made by the protocol of a row of this suite"
PAIRS = ("task", "method", "metric", "ours", "published", "where", "settings of the paper")
GAPS = ("paper", "numbers", "where", "why not beside ours")


@dataclass(frozen=True)
class Words:
    """A table whose cells are all text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Beside:
    """`pairs`: published numbers and ours; `gaps`: per paper and reason, which numbers have no such row."""

    pairs: Words
    gaps: Words


def beside(papers: Sequence[Paper], verdicts: Sequence[Verdict]) -> Beside:
    by_name = {paper.paper: paper for paper in papers}
    pairs = tuple(_pair(by_name[v.number.paper], v.number, ours) for v in verdicts for ours in v.ours)
    of = {paper: [v for v in verdicts if v.number.paper == paper.paper] for paper in papers}
    gaps = tuple(row for paper in papers for row in _gaps(paper, of[paper]))
    return Beside(Words(PAIRS, pairs), Words(GAPS, gaps))


def beside_csv(verdicts: Sequence[Verdict]) -> str:
    """Every published number with ours, or with the reason why there is none."""
    own = ("our_task", "our_method", "our_spec", "mean", "low", "high", "reason")
    theirs = ("paper", "table", "prior", "method", "dataset", "task", "metric", "value", "mark")
    rows = []
    for verdict in verdicts:
        printed = [getattr(verdict.number, name) for name in theirs]
        if verdict.difference:
            rows.append([*printed, *[""] * 6, in_words(verdict.difference)])
        rows += [[*printed, x.task, x.method, x.metric, x.mean, x.low, x.high, x.reason] for x in verdict.ours]
    return csv_text((*theirs, *own), rows)


def beside_markdown(title: str, found: Beside) -> str:
    parts = [f"# {markdown(title)}", f"{RULE}.", markdown_words(found.pairs) if found.pairs.rows else f"{NO_PAIR}."]
    return "\n\n".join([*parts, *([markdown_words(found.gaps)] if found.gaps.rows else [])]) + "\n"


def in_words(difference: Difference) -> str:
    return f"{difference.aspect} {difference.theirs} {difference.why}"


def _pair(paper: Paper, number: Number, ours: Summary) -> tuple[str, ...]:
    mean, low, high = ("", "", "") if ours.mean is None else rounded(ours.mean, ours.low, ours.high)
    shown = f"{mean} [{low}, {high}]" if low else mean
    printed = f"{number.value} ± {number.spread} ({number.spread_of})" if number.spread else number.value
    where = f"{paper.name}, {number.table}, {number.method} [{number.mark}]"
    settings = "; ".join(part for part in (number.settings, number.remark, paper.remark) if part)
    ours_in_words = " ".join(part for part in (shown, ours.reason) if part)
    return ours.task, ours.method, number.spec, ours_in_words, printed, where, settings


def _gaps(paper: Paper, verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """Numbers that differ from ours in the same way share a line."""
    who = f"{paper.name}, {paper.venue}, {paper.source}"
    if not verdicts:
        return [(who, "0", "", paper.remark)]
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in (v for v in verdicts if v.difference):
        groups.setdefault((verdict.difference.aspect, verdict.difference.why), []).append(verdict)
    order = (*ASPECTS, "metric")
    return [
        (who, str(len(group)), _tables(group), f"{aspect} {listed([v.difference.theirs for v in group])} {why}")
        for (aspect, why), group in sorted(groups.items(), key=lambda item: order.index(item[0][0]))
    ]


def _tables(group: Sequence[Verdict]) -> str:
    """`Tables 1, 3, 4; text`."""
    names = list(dict.fromkeys(v.number.table for v in group))
    numbers = sorted(int(number) for name in names if name.startswith("Table") for number in re.findall(r"\d+", name))
    tables = [f"Table{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"] if numbers else []
    return "; ".join([*tables, *(name for name in names if not name.startswith("Table"))])


def markdown_words(table: Words) -> str:
    """A table in Markdown."""
    rows = [table.columns, (":--",) * len(table.columns), *(tuple(map(markdown, row)) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
