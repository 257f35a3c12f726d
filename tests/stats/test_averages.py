"""Harmonic means: their interval, their comparison, and the text where an error may be zero."""

import math

import numpy as np
import pytest
from helpers.scored_suite import suite_of

from bench.core.results import Summary
from bench.report.table import cell_of
from bench.stats.averages import averaged, reciprocal_ends
from bench.stats.comparisons import compare
from bench.stats.inference import mean_interval
from bench.stats.summary import LEVEL, NO_ERROR, summarise

ERRORS = np.random.default_rng(0).gamma(4, 0.25, size=(16, 2))  # mean 1


def harmonic_suite(values: dict[str, np.ndarray]):
    """Return a suite with one task and one metric `m`, a worth, whose values are these."""
    named = {("task", method, "m"): array for method, array in values.items()}
    return suite_of(named, {"m": "higher"}, harmonic=("m",))


def test_the_interval_has_the_reciprocal_ends_of_that_of_the_errors():
    mean, low, high = (end[0] for end in mean_interval(ERRORS[..., None], LEVEL))
    actual = averaged(1 / ERRORS, True, LEVEL)
    assert actual == pytest.approx((1 / mean, 1 / high, 1 / low))
    assert averaged(ERRORS, False, LEVEL) == pytest.approx((mean, low, high))
    assert averaged(ERRORS[:1], True, LEVEL)[1:] == (None, None)


def test_a_negative_value_of_one_measurement_is_an_error_as_good_as_others():
    errors = np.array([0.3, -0.1, 0.2, 0.4])
    assert averaged(1 / errors, True, LEVEL)[0] == pytest.approx(1 / 0.2)


def test_an_error_that_may_be_zero_has_no_upper_end_and_one_below_zero_no_mean():
    assert reciprocal_ends(0.02, -0.01, 0.05) == (pytest.approx(50), pytest.approx(20), math.inf)
    assert reciprocal_ends(-0.01, -0.03, 0.01) == (None, pytest.approx(100), math.inf)
    cell = cell_of(Summary("t", "m", "worth_energy", 50.0, 20.0, math.inf, 0, ""))
    assert (cell.mean, cell.low, cell.high) == ("50", "20", "inf")
    cell = cell_of(Summary("t", "m", "worth_energy", None, 100.0, math.inf, 0, NO_ERROR))
    assert (cell.mean, cell.low, cell.high) == ("at least 100", "", "")


def test_a_suite_averages_and_compares_the_errors():
    """Method a is worse on each measurement; one lucky one, of worth 1000, would lift its arithmetic mean."""
    a, b = 1 / (2 * ERRORS), 1 / ERRORS
    a[0] = 1000.0
    suite = harmonic_suite({"a": a, "b": b})
    means = {line.method: line.mean for line in summarise(suite) if line.metric == "m"}
    errors = np.where(np.arange(16)[:, None] == 0, 1e-3, 2 * ERRORS)
    assert means["a"] == pytest.approx(1 / errors.mean())
    assert means["b"] == pytest.approx(1 / ERRORS.mean())
    verdicts = {line.method: line for line in compare(suite)}
    assert verdicts["b"].tied and verdicts["b"].best == "b" and verdicts["a"].tied is False
    assert verdicts["a"].difference == pytest.approx(errors.mean() - ERRORS.mean())


def test_a_failed_worth_counts_as_the_worst():
    a = np.where(np.arange(16)[:, None] == 3, np.nan, 5 / ERRORS)
    (line,) = (x for x in compare(harmonic_suite({"a": a, "b": 1 / ERRORS})) if x.method == "a")
    assert line.tied is False and line.num_failed == 1
