"""metrics.csv as columns: the same lines as csv reads, in any order, with gaps and failures."""

import csv
import io

import numpy as np
import pytest

from bench.stats.results import SuiteResults, TaskResults
from bench.stats.scores import COLUMNS, Score, ScoreTable, metrics_of, read_scores
from bench.stats.values import values_of_task

LINES = [
    ("reference", 0, "0", "energy", "0.125", ""),
    ("reference", 0, "1", "energy", "-1e-17", ""),
    ("dps", 1, "0", "energy", "3.14159265", ""),
    ("dps", 1, "1", "energy", "0.1", ""),
    ("dps", 1, "0", "rhat", "", "n/a (no chain)"),
    ("dps", 1, "1", "rhat", "", 'failed (a, "b")'),
    ("dps", 0, "0", "energy", "2", ""),
    ("dps", 0, "1", "energy", "123456789", ""),
    ("dps", 0, "all", "sbc", "0.5", ""),
]


def text_of(lines) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [("task", *COLUMNS), *(("t", *x) for x in lines)]
    )
    return out.getvalue()


def scores_of(lines) -> list[Score]:
    return [
        Score(m, seed, None if i == "all" else int(i), metric, float(v) if v else None, why)
        for m, seed, i, metric, v, why in lines
    ]


def test_columns_hold_the_lines_of_the_file_in_their_order():
    table, whole = read_scores(text_of(LINES))
    assert isinstance(table, ScoreTable)
    assert list(table) == scores_of(LINES[:-1]) and whole == tuple(scores_of(LINES[-1:]))
    assert table[2] == scores_of(LINES)[2] and table[:2] == tuple(scores_of(LINES[:2]))
    assert metrics_of(table) == metrics_of(scores_of(LINES[:-1])) == ["energy", "rhat"]


@pytest.mark.parametrize("value", ["nan", ""])
def test_a_value_that_is_not_a_number_is_told_from_none(value):
    lines = [*LINES[:3], ("dps", 1, "1", "energy", value, "")]
    scores, _ = read_scores(text_of(lines))
    last = list(scores)[-1].value
    assert last is None if value == "" else last is not None and np.isnan(last)


def test_values_are_those_of_the_same_lines_as_tuples():
    """Also of seeds out of order, of metrics with gaps, and where a seed is missing."""
    for lines in (LINES[:-1], LINES[:3] + LINES[4:-1], LINES[:-1][::-1]):
        table, _ = read_scores(text_of(lines))
        found = []
        for scores in (table, tuple(scores_of(lines))):
            task = TaskResults("t", {}, {}, scores, {}, {}, ())
            suite = SuiteResults(None, "s", ("dps", "hmc"), (0, 1), 2, 1, (task,), ())
            found.append(dict(values_of_task(task, suite)))
        assert found[0] == found[1]
        assert found[0]["hmc", "energy"].failed
    assert found[1]["dps", "energy"].values == {0: (2.0, 3.14159265), 1: (123456789.0, 0.1)}
