"""Reproduced or not: chance alone flags nothing, changed settings are found, and untestable cells are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from bench.stats.counterparts import only_on_one_side, other_measurements
from bench.stats.reproduction import (
    ALL_TASKS,
    ALPHA,
    DIFFERS,
    KEYS,
    REPRODUCED,
    UNTESTED,
    compare_exactly,
    compare_values,
)
from bench.stats.sign_flips import flip_p

M = 16


def frame_of(values: dict[tuple[str, str, str], np.ndarray]) -> pd.DataFrame:
    """values[task, method, metric] is (m, s)."""
    lines = [
        (task, method, seed, i, metric, float(value))
        for (task, method, metric), array in values.items()
        for (i, seed), value in np.ndenumerate(array)
    ]
    return pd.DataFrame(lines, columns=[*KEYS, "value"])


def drawn(rng, num_tasks=8, num_metrics=6, seeds=1, training=0.0, shift=0.0, m=M):
    """Values of a row on several tasks: measurements differ (the same on both sides), metrics say nearly the same."""
    truth = np.random.default_rng(1)
    values = {}
    for t in range(num_tasks):
        hard = truth.gamma(2, 1, size=(m, 1))
        common = rng.standard_t(3, size=(m, seeds)) + training * rng.normal(size=(1, seeds))
        for j in range(num_metrics):
            noise = 0.1 * (common + 0.5 * rng.standard_t(3, size=(m, seeds)))
            values[f"t{t}", "row", f"metric{j}"] = 1 + hard * (1 + shift + noise)
    return values


def verdicts(cells) -> list[str]:
    return [cell.verdict for cell in cells]


def test_equal_values_are_reproduced_without_a_test():
    old = frame_of(drawn(np.random.default_rng(2)))
    rounded = old.assign(value=[float(f"{value:.6g}") for value in old["value"]])
    cells = compare_values(rounded, old)
    assert set(verdicts(cells)) == {REPRODUCED}
    assert all(cell.how.startswith("equal") and cell.difference == 0 for cell in cells)


def test_runs_with_other_noise_are_reproduced():
    """Heavy tails and dependent metrics; 100 suites of 54 cells each, of which about one may have a false alarm."""
    old = frame_of(drawn(np.random.default_rng(3), num_tasks=4))
    false, cells = 0, 0
    for number in range(40):
        found = compare_values(
            old, frame_of(drawn(np.random.default_rng(100 + number), num_tasks=4))
        )
        false += DIFFERS in verdicts(found)
        cells += len(found)
    assert false <= 2 and cells > 1000


def test_a_shift_of_one_task_is_found_there_and_first():
    old, new = (drawn(np.random.default_rng(seed)) for seed in (4, 5))
    moved = {key: array * (1.25 if key[0] == "t3" else 1) for key, array in new.items()}
    cells = compare_values(frame_of(old), frame_of(moved))
    assert {cell.task for cell in cells if cell.verdict == DIFFERS} <= {"t3", ALL_TASKS}
    assert sum(cell.verdict == DIFFERS for cell in cells if cell.task == "t3") >= 5


def test_a_shift_too_small_for_each_task_is_found_over_all_of_them():
    old, new = (
        frame_of(drawn(np.random.default_rng(seed), shift=shift))
        for seed, shift in ((6, 0), (7, 0.09))
    )
    differ = [cell for cell in compare_values(old, new) if cell.verdict == DIFFERS]
    assert differ and {cell.task for cell in differ} == {ALL_TASKS}


def test_a_measurement_far_out_does_not_hide_a_shift_of_all():
    rng = np.random.default_rng(8)
    d = np.abs(rng.normal(size=(M, 1))) + 0.1
    d[0] = 100
    p, _ = flip_p(d, ALPHA)
    assert p[0] == pytest.approx(2.0 ** (1 - M))


def test_flips_of_one_column_are_those_of_scipy_and_of_two_equal_ones_cost_nothing():
    d = np.random.default_rng(9).normal(0.4, 1, size=(9, 1))
    p, bar = flip_p(np.repeat(d, 2, 1), 0.05)
    assert p[0] == p[1] and np.isfinite(bar)
    of_sums = permutation_test(
        (d[:, 0],), np.sum, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert of_sums / 2 <= p[0] <= 2 * of_sums + 2**-8


def test_a_trained_row_is_judged_by_its_training_seeds():
    """Trainings move all measurements at once: flips would see a difference in every suite, seeds see none."""
    old, new = (
        frame_of(drawn(np.random.default_rng(seed), seeds=3, training=4.0)) for seed in (10, 11)
    )
    trained = {(f"t{t}", "row") for t in range(8)}
    assert DIFFERS in verdicts(compare_values(old, new))
    cells = compare_values(old, new, trained)
    assert set(verdicts(cells)) == {REPRODUCED} and "training seeds" in cells[0].how
    far = frame_of(drawn(np.random.default_rng(11), seeds=3, training=4.0, shift=3.0))
    assert DIFFERS in verdicts(compare_values(old, far, trained))


def test_trainings_alone_flag_almost_nothing():
    trained = {(f"t{t}", "row") for t in range(4)}
    false = 0
    for number in range(40):
        sides = (
            frame_of(drawn(np.random.default_rng([number, side]), 4, 3, seeds=3, training=4.0))
            for side in (0, 1)
        )
        false += DIFFERS in verdicts(compare_values(*sides, trained))
    assert false <= 2


def test_one_training_borrows_the_spread_of_others_or_is_not_testable():
    one = {("t0", "row"): 0}
    old, new = (frame_of(drawn(np.random.default_rng(s), 1, training=4.0)) for s in (12, 13))
    cells = compare_values(old, new, one)
    assert set(verdicts(cells)) == {UNTESTED} and "spread over trainings" in cells[0].reason
    others = [
        frame_of(
            {(task, "other", metric): array for (task, _, metric), array in drawn(
                np.random.default_rng(seed), seeds=3, training=4.0
            ).items()}
        )
        for seed in (14, 15)
    ]  # fmt: skip
    both = [pd.concat([mine, other]) for mine, other in zip((old, new), others, strict=True)]
    trained = [*one, *((f"t{t}", "other") for t in range(8))]
    mine = [cell for cell in compare_values(*both, trained) if cell.method == "row"]
    assert set(verdicts(mine)) == {REPRODUCED} and "one training" in mine[0].reason


def test_few_measurements_are_tested_by_student_or_not_at_all():
    old, new = (frame_of(drawn(np.random.default_rng(s), m=3)) for s in (16, 17))
    per_task = [cell for cell in compare_values(old, new) if cell.task != ALL_TASKS]
    assert set(verdicts(per_task)) == {UNTESTED}
    old, new = (frame_of(drawn(np.random.default_rng(s), m=8)) for s in (16, 17))
    per_task = [cell for cell in compare_values(old, new) if cell.task != ALL_TASKS]
    assert {cell.how for cell in per_task} == {"Student's t"} and DIFFERS not in verdicts(per_task)


def test_harmonic_columns_are_compared_by_their_reciprocals():
    rng = np.random.default_rng(18)
    error = rng.normal(0.02, 0.05, size=(M, 1))  # unbiased: may be negative
    old = frame_of({("t", "row", "worth"): 1 / error})
    new = frame_of({("t", "row", "worth"): 1 / (error + 0.3)})
    (cell,) = compare_values(old, new, harmonic={"worth"})
    assert cell.verdict == DIFFERS
    assert cell.published == pytest.approx(1 / error.mean()) and cell.here < 10


def test_a_shift_of_no_consequence_is_reproduced():
    values = drawn(np.random.default_rng(19), num_tasks=1)
    new = {key: array * 1.0004 for key, array in values.items()}
    cells = compare_values(frame_of(values), frame_of(new))
    assert set(verdicts(cells)) == {REPRODUCED} and "of the values" in cells[0].reason


def test_counts_are_compared_exactly():
    lines = [
        ("t", "row", "nfe", 200.0),
        ("t", "row", "nfe_vjp", 200.0),
        ("t", "row", "seconds", 3.0),
    ]
    old = pd.DataFrame(lines, columns=["task", "method", "metric", "mean"])
    new = old.assign(mean=[200.0, 201.0, 9.0])
    assert verdicts(compare_exactly(old, new, ("nfe", "nfe_vjp"))) == [REPRODUCED, DIFFERS]


def test_a_row_without_counterpart_is_reported_once():
    old = frame_of(
        {
            ("a", "row", "x"): np.ones((3, 2)),
            ("a", "gone", "x"): np.ones((3, 1)),
            ("b", "row", "x"): np.ones((3, 1)),
        }
    )
    new = frame_of(
        {
            ("a", "row", "x"): np.ones((4, 1)),
            ("a", "row", "y"): np.ones((3, 1)),
            ("c", "row", "x"): np.ones((3, 1)),
        }
    )
    assert only_on_one_side(old, new) == [
        "Tasks only published: b.",
        "Tasks only here: c.",
        "Row gone only published, on a.",
        "Y only here, of row a.",
        "Seed 1 only published, of row a.",
        "Measurement 3 only here, of row a.",
    ]
    assert only_on_one_side(old, old) == []


def test_tasks_of_other_measurements_are_reported():
    same, words = other_measurements({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
    assert same == ["a"] and words == [
        "Measurements differ from the published ones, so nothing is compared: b."
    ]
