"""The table of metrics of sets (FID and the like): all samples of a task, and real images, against held-out images."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.results import Summary
from bench.report.front.references import has_reference
from bench.report.notes import definitions
from bench.report.origins import made_by
from bench.report.table import Table, cell_of, frame_of
from bench.report.tables import ROLES, shown_methods
from bench.stats.results import SuiteResults
from bench.stats.sets import FLOOR

FLOORS = {"train": "training images", "halves": "half of the held-out images"}
STATISTICS = ("fid", "kid", "precision", "recall", "density", "coverage")
ALONE = (
    "All samples of a task compared with held-out images: one number per method, with its interval in brackets if it "
    "has one; the first columns are values of real images"
)
HEADER = (
    f"{ALONE}. Compare a method with the reference and not with real images: the posteriors "
    "of a few measurements are not the distribution of all images, and draws from the prior may be closer to it"
)


def set_table(suite: SuiteResults, lines: Sequence[Summary]) -> Table:
    """Return a row for each task and metric of sets, real images and methods across.

    A task and metric without any number has no row.
    """
    methods = shown_methods(suite)
    known = {(x.task, x.method, x.metric): x for x in lines}
    rows = []
    for task, metric in dict.fromkeys((x.task, x.metric) for x in lines if is_of_sets(x.metric)):
        across = [known.get((task, method, metric)) for method in methods]
        if any(line and line.mean is not None for line in across):
            floors = [_floor(task, metric, floor, lines) for floor in FLOORS]
            rows.append((f"{task}: {metric}", [cell_of(line) for line in (*floors, *across)]))
    goals = dict.fromkeys(FLOORS.values(), "floor") | {
        method: ROLES.get(method, "") for method in methods
    }
    return Table(
        "Sets of samples against held-out images",
        HEADER if has_reference(suite) else ALONE,
        frame_of(rows, goals),
        goals,
        methods_across=True,
    )


def set_notes(suite: SuiteResults, lines: Sequence[Summary]) -> tuple[str, ...]:
    """Return the notes below the table: the definitions of its metrics, and who made it."""
    defined = definitions(suite)
    names = dict.fromkeys(x.metric for x in lines if is_of_sets(x.metric))
    return (
        *(f"{name}: {defined[name]}" for name in names if name in defined),
        *made_by(suite.origins),
    )


def is_of_sets(metric: str) -> bool:
    """Return whether a metric is one of sets of samples, such as `kid-digits-cnn-v1-n1024`, not one of real images."""
    statistic, _, rest = metric.partition("-")
    return statistic in STATISTICS and rest.rpartition("-n")[2].isdigit()


def _floor(task: str, metric: str, floor: str, lines: Sequence[Summary]) -> Summary | None:
    """Return the line of real images for the same statistic and extractor, whatever the number of images."""
    statistic, _, rest = metric.partition("-")
    start = f"{statistic}{FLOOR}{floor}-{rest.rpartition('-n')[0]}-n"
    return next((x for x in lines if x.task == task and x.metric.startswith(start)), None)
