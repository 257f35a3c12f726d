"""Find columns that a suite names under `metrics` and that none of its metrics has, before anything is sampled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import UserError
from bench.stats.front_columns import DERIVED

NUMBER = re.compile(r"-n\d+\Z")  # of samples, at the end of the id of a column of sets
# parts of ids that depend on the task: the classifier of its reward, or weights that are not the published ones
OF_TASKS, UNVERIFIED = ("frechet", "pairwise-"), "unverified-"


def column_fault(columns: Sequence[str], metrics: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return one line on the first of `columns` that no metric has; None if all exist, or if a metric is broken.

    metrics: the parameters of those that the suite adds, by plug-in.
    """
    from bench.metrics._diagnosis import NAMES
    from bench.metrics._evaluation import open_metrics
    from bench.stats.summary import COSTS

    try:
        of_metrics = [x.id for metric in open_metrics(metrics) for x in metric.columns(None)]
    except UserError:  # the tasks that have it report this
        return None
    known = dict.fromkeys(NUMBER.sub("", x) for x in (*of_metrics, *NAMES, *COSTS, *DERIVED))
    for column in columns:
        name = NUMBER.sub("", column)
        if name not in known and not name.startswith(OF_TASKS) and UNVERIFIED not in name:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"; did you mean {close[0]}?" if close else ";"
            return f"this suite has no column {column}{meant} docs/reference/columns.md lists all"
    return None
