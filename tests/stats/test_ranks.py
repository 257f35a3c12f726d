"""Mean ranks: which tasks and methods count, which method is last, and which ranks are distinguished."""

import numpy as np
import pytest
from helpers.scored_suite import suite_of
from scipy import stats

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


def test_a_clear_order_is_distinguished():
    (actual,) = rankings(suite_with({"c": [3.0] * 8, "a": [1.0] * 8, "b": [2.0] * 8}), ["m"])
    assert actual.methods == ("a", "b", "c") and actual.mean == (1, 2, 3)
    # Friedman's table: 3 methods on 8 tasks; a rank apart is less than critical, two are more
    assert 1 < actual.critical < 2 and actual.ties == ((0, 1), (1, 2)) and actual.can_tell


def test_a_method_that_runs_on_few_tasks_changes_nothing_between_the_others():
    levels = {"a": [1.0] * 6, "b": [2.0] * 4 + [0.0] * 2, "rare": [0.0] + [None] * 5}
    (actual,) = rankings(suite_with(levels), ["m"])
    assert actual.methods == ("a", "b") and actual.tasks == tuple(f"t{i}" for i in range(6))
    assert actual.mean == pytest.approx((1 + 2 / 6, 1 + 4 / 6)) and actual.not_ranked == {"rare": 1}


def test_each_pair_is_ranked_by_the_tasks_where_both_ran():
    levels = {"a": [1.0] * 6, "b": [2.0] * 6, "half": [1.5, 0.5, 1.5] + [None] * 3}
    (actual,) = rankings(suite_with(levels), ["m"])
    ranks = dict(zip(actual.methods, actual.mean, strict=True))
    # a is beaten by none of b, by half on one task of three; half by a on two of three
    assert ranks == pytest.approx({"a": 1 + 1 / 3, "half": 1 + 2 / 3, "b": 1 + 1 + 1})
    assert dict(zip(actual.methods, actual.num_tasks_of, strict=True))["half"] == 3
    without = {name: of_tasks for name, of_tasks in levels.items() if name != "half"}
    assert rankings(suite_with(without), ["m"])[0].mean == (1, 2)


def test_without_gaps_intervals_are_students_of_the_mean_over_tasks():
    levels = {"a": [1.0, 1.0, 3.0, 1.0, 3.0], "b": [2.0] * 5, "c": [4.0, 0.0, 4.0, 4.0, 4.0]}
    (actual,) = rankings(suite_with(levels), ["m"])
    ranks = np.array([1, 2, 2, 1, 2])  # of a
    ends = stats.t.interval(0.95, 4, ranks.mean(), stats.sem(ranks))
    place = actual.methods.index("a")
    assert (actual.low[place], actual.high[place]) == pytest.approx((max(ends[0], 1), ends[1]))


def test_a_gap_makes_the_critical_difference_larger():
    levels = {name: [float(i)] * 8 for i, name in enumerate("abcd")}
    (whole,) = rankings(suite_with(levels), ["m"])
    (gappy,) = rankings(suite_with({**levels, "d": [3.0] * 5 + [None] * 3}), ["m"])
    assert whole.critical < gappy.critical < 3


def test_methods_that_share_no_task_are_not_ranked_together():
    levels = {"a": [1.0, 1.0, None, None], "b": [2.0] * 4, "c": [None, None, 0.0, 0.0]}
    (actual,) = rankings(suite_with(levels), ["m"])
    assert actual.methods == ("a", "b") and actual.not_ranked == {"c": 2}


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


def test_rows_at_budgets_are_ranked_among_those_of_their_budget():
    levels = {"a-b100": [1.0] * 6, "b-b100": [2.0] * 6, "a-b200": [0.5] * 6, "b-b200": [0.1] * 6}
    small, large = rankings(suite_with(levels), ["m"])
    assert (small.title, large.title) == ("m, 100 rows a sample", "m, 200 rows a sample")
    assert small.methods == ("a-b100", "b-b100") and small.mean == (1, 2)
    assert large.methods == ("b-b200", "a-b200") and large.mean == (1, 2)
