"""Mean ranks: which tasks and methods count, who is last, and what is told apart."""

import numpy as np
import pytest
from helpers.scored_suite import suite_of

from bench.stats.ranks import rankings


def suite_with(levels: dict[str, list[float | None]], broken: tuple[str, int] | None = None):
    """Levels of each method on tasks t0, t1, ...; None where it does not run; `broken` fails on one measurement."""
    values = {}
    for method, of_tasks in levels.items():
        for task, level in enumerate(of_tasks):
            if level is not None:
                array = np.full((4, 1), level)
                array[0] = np.nan if (method, task) == broken else level
                values[f"t{task}", method, "m"] = array
    return suite_of(values, {"m": "lower"})


def test_a_clear_order_is_told_apart():
    (actual,) = rankings(suite_with({"c": [3.0] * 8, "a": [1.0] * 8, "b": [2.0] * 8}), ["m"])
    assert actual.methods == ("a", "b", "c") and actual.mean == (1, 2, 3)
    # Friedman's table: 3 methods on 8 tasks; a rank apart is less than critical, two are more
    assert 1 < actual.critical < 2 and actual.ties == ((0, 1), (1, 2)) and actual.can_tell


def test_tasks_where_a_method_is_absent_are_not_counted():
    levels = {"a": [1.0] * 6, "b": [2.0] * 4 + [None] * 2, "rare": [0.0] + [None] * 5}
    (actual,) = rankings(suite_with(levels), ["m"])
    assert actual.methods == ("a", "b") and actual.tasks == ("t0", "t1", "t2", "t3")
    assert actual.not_counted == ("t4", "t5") and actual.not_ranked == {"rare": 1}
    # 4 tasks tell nothing
    assert actual.critical == 1 and not actual.can_tell and actual.ties == ((0, 1),)


def test_who_fails_is_last_and_ties_share_a_rank():
    levels = {"a": [1.0, 1.0], "b": [2.0, 2.0], "c": [2.0, 3.0]}
    (actual,) = rankings(suite_with(levels, broken=("a", 0)), ["m"])
    assert dict(zip(actual.methods, actual.mean, strict=True)) == {
        "a": 2.0,
        "b": (1.5 + 2) / 2,
        "c": (1.5 + 3) / 2,
    }


def test_intervals_stay_within_the_ranks():
    (actual,) = rankings(suite_with({"a": [1.0, 5.0, 1.0], "b": [2.0] * 3}), ["m"])
    assert actual.low == pytest.approx([1, 1]) and actual.high == pytest.approx([2, 2])


def test_nothing_to_rank():
    assert rankings(suite_with({"a": [1.0]}), ["m", "other"]) == []
