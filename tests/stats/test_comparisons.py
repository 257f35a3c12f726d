"""Bold means tied with the best: the verdict's level and power, failures, targets, and unequal measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_suite import suite_of
from scipy.special import stdtrit

from bench.stats.comparisons import BOLD, compare, resolution, tied
from bench.stats.groups import comparison_groups
from bench.stats.results import SuiteResults

RNG = np.random.default_rng


def repeated(
    methods: dict[str, float], better, rng, num_repeats: int, num_seeds: int = 1
) -> SuiteResults:
    """One task on which every metric is another repetition: normal values about each method's mean, and hardness."""
    metrics = [f"m{i}" for i in range(num_repeats)]
    values = {}
    for metric in metrics:
        hardness = 0 if isinstance(better, float) else rng.normal(size=(16, 1))
        for method, mean in methods.items():
            values["t", method, metric] = (
                mean + hardness + rng.normal(size=(16, num_seeds)) / math.sqrt(2)
            )
    return suite_of(values, dict.fromkeys(metrics, better))


def not_bold(suite: SuiteResults) -> dict[str, set[str]]:
    """metric -> methods that are worse."""
    actual: dict[str, set[str]] = {}
    for line in compare(suite):
        actual.setdefault(line.metric, set()).update({line.method} if line.tied is False else ())
    return actual


def test_equal_methods_keep_their_bold():
    # six equal methods: the best of the data against the others, Holm over those five pairs alone, would take bold away
    # in 10 % of columns. 600 repetitions, standard error 0.009, three of them
    worse = not_bold(repeated({f"method{i}": 1.0 for i in range(6)}, "lower", RNG(0), 600))
    share = np.mean([bool(actual) for actual in worse.values()])
    print(f"columns of equal methods with any that is not bold: {share:.3f}")
    assert 0.01 < share < 0.077


@pytest.mark.parametrize("num_methods", [2, 4])
def test_power_is_as_the_line_states(num_methods):
    # differences of standard deviation 1 from the best, all others equally bad; 500 repetitions, standard error 0.018,
    # three of them, and 0.02 for Student's power; with four methods Holm's later steps can only help
    alpha = 0.05 / math.comb(num_methods, 2)
    delta = (stdtrit(15, 1 - alpha / 2) + stdtrit(15, 0.8)) / 4
    methods = {"best": 1.0, **{f"other{i}": 1 + delta for i in range(num_methods - 1)}}
    suite = repeated(methods, "lower", RNG(1), 500)
    lines = compare(suite)
    share = np.mean([line.tied is False for line in lines if line.method == "other0"])
    printed = np.median([line.resolvable for line in lines if line.resolvable])
    print(f"{num_methods} methods: power {share:.3f} at {delta:.3f}; printed {printed:.3f}")
    assert 0.73 < share < (0.87 if num_methods == 2 else 1)
    # the median of a sample's deviation is 0.98 of the true one
    assert printed == pytest.approx(delta, rel=0.05)


def test_power_at_a_target_is_at_least_as_the_line_states():
    # the best on the target, the other beside it by what is printed; as above, one-sided
    suite = repeated({"best": 1.0, "other": 1.0}, 1.0, RNG(2), 300)
    delta = np.median([line.resolvable for line in compare(suite) if line.resolvable])
    worse = not_bold(repeated({"best": 1.0, "other": 1 - delta}, 1.0, RNG(3), 500))
    share = np.mean(["other" in actual for actual in worse.values()])
    print(f"power {share:.3f} at {delta:.3f}")
    assert share > 0.73


@pytest.mark.parametrize(
    "means", [(0.7, 1.3), (1.3, 1.3), (1.0, 1.0)], ids=["either side", "same side", "on target"]
)
def test_methods_equally_far_from_a_target_are_tied(means):
    # at most 5 %: 500 repetitions, standard error 0.01, three of them
    worse = not_bold(repeated(dict(zip("ab", means, strict=True)), 1.0, RNG(4), 500))
    share = np.mean([bool(actual) for actual in worse.values()])
    print(f"not bold though equally far: {share:.3f}")
    assert share < 0.08


def test_scatter_about_a_target_is_no_error():
    # exact in the mean, but each measurement far from 1, against a constant 1.1, whose every value is nearer
    exact = 1 + np.tile([0.5, -0.5], 8)[:, None]
    (group,) = comparison_groups(
        suite_of({("t", "exact", "m"): exact, ("t", "off", "m"): np.full((16, 1), 1.1)}, {"m": 1.0})
    )
    assert group.methods[group.best] == "exact"
    assert group.distances == pytest.approx([0, 0.1], abs=1e-12)


def test_seeds_that_disagree_make_a_tie():
    # other is worse by 1 with every seed, or by 3, -1 and 1: the same means on every measurement, but another story
    rng = RNG(5)
    best, noise = rng.normal(size=(16, 3)), rng.normal(size=(16, 3))
    for gaps, verdict in (((1, 1, 1), False), ((3, -1, 1), True)):
        values = {("t", "best", "m"): 0.1 * best, ("t", "other", "m"): 0.1 * noise + gaps}
        (line,) = (x for x in compare(suite_of(values, {"m": "lower"})) if x.method == "other")
        assert line.tied is verdict and line.difference == pytest.approx(1, abs=0.2)


def test_a_row_of_one_seed_is_compared_with_rows_of_three():
    rng = RNG(7)
    hardness = rng.normal(size=(16, 1))
    values = {
        ("t", "drawn", "m"): hardness + 0.1 * rng.normal(size=(16, 1)),
        ("t", "trained", "m"): hardness + 1 + 0.1 * rng.normal(size=(16, 3)),
    }
    suite = suite_of(values, {"m": "lower"})
    suite = replace(suite, seeds=(0,), training_seeds={"trained": (0, 1, 2)})
    worse = {line.method: line for line in compare(suite)}["trained"]
    assert worse.tied is False and worse.num_measurements == 16
    assert worse.difference == pytest.approx(1, abs=0.2)


def _three(broken: dict[str, list[int]], better="lower") -> dict[str, object]:
    rng = RNG(6)
    levels = {"a": 1.0, "b": 1.0, "c": 3.0}
    values = {("t", m, "m"): level + 0.1 * rng.normal(size=(16, 1)) for m, level in levels.items()}
    values["t", "unconditional", "m"] = np.full((16, 1), 5.0)
    values["t", "oracle", "m"] = np.full((16, 1), 0.0)
    for method, places in broken.items():
        values["t", method, "m"][places] = np.nan
    return {line.method: line for line in compare(suite_of(values, {"m": better}))}


def test_only_methods_that_a_user_would_choose_are_compared():
    lines = _three({})
    assert set(lines) == {"a", "b", "c"} and {line.best for line in lines.values()} <= {"a", "b"}
    assert lines["a"].tied and lines["b"].tied and lines["c"].tied is False
    assert lines["c"].difference == pytest.approx(2, abs=0.2)
    assert lines["c"].low < lines["c"].difference < lines["c"].high
    assert lines["c"].p == 2.0**-15 and lines["c"].p_holm == pytest.approx(3 * 2.0**-15)


def test_a_failure_counts_as_the_worst_value_on_its_measurement():
    lines, whole = _three({"a": [3]}), _three({})
    assert {line.best for line in lines.values()} == {"b"} and lines["b"].tied
    assert lines["a"].tied is False and lines["a"].num_failed == 1
    # 5 on one of 16 in place of about 1
    assert lines["a"].difference == pytest.approx(4 / 16, abs=0.15)
    assert whole["a"].num_failed == 0


def test_a_method_that_always_fails_is_worse_than_all():
    lines = _three({"c": list(range(16))})
    assert lines["c"].tied is False and lines["c"].num_failed == 16
    assert lines["c"].difference == pytest.approx(4, abs=0.2)


def test_failures_lie_on_the_far_side_of_a_target():
    # c is 2 above the target of 1; a failure must not pull its mean towards it
    whole, lines = _three({}, 1.0), _three({"c": [0, 1, 2, 3]}, 1.0)
    assert lines["c"].difference > whole["c"].difference


def test_methods_on_few_measurements_are_not_compared():
    values = {("t", m, "m"): RNG(7).normal(size=(16, 1)) for m in "abc"}
    lines = {x.method: x for x in compare(suite_of(values, {"m": "lower"}, {("t", "c"): 3}))}
    assert lines["c"].tied is None and lines["c"].reason == "n/a (only 3 measurements)"
    assert lines["a"].tied is not None and lines["a"].num_measurements == 16


def test_a_method_that_always_fails_is_compared_where_others_have_numbers():
    """A ratio may be n/a on most measurements (the posterior is nearly one image); failures are listed on all."""
    values = {("t", m, "m"): 0.1 * RNG(9).normal(size=(16, 1)) for m in "abc"}
    values["t", "c", "m"][:] = np.nan
    some = {("t", m): 7 for m in "ab"}
    lines = {x.method: x for x in compare(suite_of(values, {"m": "lower"}, some))}
    assert lines["c"].tied is False and lines["c"].num_failed == 7
    assert {line.num_measurements for line in lines.values()} == {7}


def test_four_measurements_give_no_verdict_and_say_so():
    values = {
        ("t", m, "m"): level + 0.01 * RNG(8).normal(size=(4, 1))
        for m, level in (("a", 1.0), ("b", 3.0))
    }
    lines = compare(suite_of(values, {"m": "lower"}))
    assert not tied(lines) and {line.reason for line in lines} == {
        "n/a (4 measurements are too few for any verdict)"
    }
    assert resolution(lines, {"m": ("t", "m")}) == (
        "Too few measurements (of 4) to tell methods apart by any difference, so nothing is bold: m"
    )


def test_higher_is_better_where_the_metric_says_so():
    lines = _three({}, "higher")
    assert {line.best for line in lines.values()} == {"c"} and lines["a"].difference > 1.5


def test_a_single_method_is_compared_with_none():
    assert compare(suite_of({("t", "a", "m"): np.ones((16, 1))}, {"m": "lower"})) == []


def test_rows_at_budgets_are_compared_with_rows_of_the_same_budget():
    means = {"a-b100": 1.0, "b-b100": 3.0, "a-b200": 0.5, "b-b200": 0.1, "c": 2.0, "d": 9.0}
    values = {
        ("t", row, "m"): mean + 0.1 * RNG(3).normal(size=(16, 1)) for row, mean in means.items()
    }
    best = {line.method: line.best for line in compare(suite_of(values, {"m": "lower"}))}
    assert best == {
        "a-b100": "a-b100",
        "b-b100": "a-b100",
        "a-b200": "b-b200",
        "b-b200": "b-b200",
        "c": "c",
        "d": "c",
    }
    # one row that happens to end like a budget is compared with all others
    del values["t", "a-b200", "m"], values["t", "b-b200", "m"], values["t", "b-b100", "m"]
    lines = compare(suite_of(values, {"m": "lower"}))
    assert {line.best for line in lines} == {"a-b100"} and len(lines) == 3


def test_the_note_gives_the_level():
    assert "p at most 5 %" in BOLD
