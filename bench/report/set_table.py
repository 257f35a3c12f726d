"""The table of what all samples of a task have together, beside what real images have."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.results import Summary
from bench.core.text import rounded, shortened
from bench.report.tables import ROLES, Cell, Row, Table, definitions, made_by, ordered
from bench.stats.results import SuiteResults
from bench.stats.sets import FLOOR

FLOORS = {"train": "training images", "halves": "half of the held-out images"}
KNOWN = ("fid", "kid", "precision", "recall", "density", "coverage")


def set_table(suite: SuiteResults, lines: Sequence[Summary]) -> Table:
    """A row for each task and metric of sets, floors and methods across; no row where nothing has a number."""
    methods = ordered(suite)
    found = {(x.task, x.method, x.metric): x for x in lines}
    rows = []
    for task, metric in dict.fromkeys((x.task, x.metric) for x in lines if is_of_sets(x.metric)):
        across = [found.get((task, method, metric)) for method in methods]
        if any(line and line.mean is not None for line in across):
            floors = [_floor(task, metric, floor, lines) for floor in FLOORS]
            rows.append(Row(f"{task}: {metric}", "", tuple(map(_cell, (*floors, *across))), ""))
    header = (
        "All samples of a task against held-out images, one number per method, in brackets its interval where it has "
        "one; the first columns are real images. Compare a method with the reference, not with those: the posteriors "
        "of a few measurements are not the law of all images, which draws from the prior may well be nearer to"
    )
    columns = (*((name, "floor") for name in FLOORS.values()), *((name, ROLES.get(name, "")) for name in methods))
    return Table("Sets of samples against held-out images", header, columns, tuple(rows), methods_across=True)


def set_notes(suite: SuiteResults, lines: Sequence[Summary]) -> tuple[str, ...]:
    """What stands beneath the table: the definitions of its metrics, who made it."""
    defined = definitions(suite)
    names = dict.fromkeys(x.metric for x in lines if is_of_sets(x.metric))
    return (*(f"{name}: {defined[name]}" for name in names if name in defined), *made_by(suite.origins))


def is_of_sets(metric: str) -> bool:
    """Whether `kid-digits-cnn-v1-n1024` or the like, and no floor."""
    statistic, _, rest = metric.partition("-")
    return statistic in KNOWN and rest.rpartition("-n")[2].isdigit()


def _floor(task: str, metric: str, floor: str, lines: Sequence[Summary]) -> Summary | None:
    """Of the same statistic and extractor, whatever its number of images."""
    statistic, _, rest = metric.partition("-")
    start = f"{statistic}{FLOOR}{floor}-{rest.rpartition('-n')[0]}-n"
    return next((x for x in lines if x.task == task and x.metric.startswith(start)), None)


def _cell(line: Summary | None) -> Cell:
    if line is None:
        return Cell("", reason="n/a (not measured)")
    if line.mean is None:
        return Cell("", reason=shortened(line.reason))
    return Cell(*rounded(line.mean, line.low, line.high))
