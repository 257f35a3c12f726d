"""Figure budget: costs share training, a worth is averaged by its reciprocal, break-even points by interpolation."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench.core.results import Summary
from bench.figures._spending import (
    Curve,
    Point,
    Spent,
    _crossed,
    break_evens,
    curves,
)
from bench.figures.budget import Budget

COSTS = {"dps-b100": 100.0, "dps-b400": 400.0, "aps-b100": 0.0, "aps-b400": 0.0}
TRAINED = {"aps-b100": 16000.0, "aps-b400": 64000.0}
WORTH = {"dps-b100": 2.0, "dps-b400": 8.0, "aps-b100": 1.0, "aps-b400": 4.0}


@dataclass(frozen=True)
class Made:
    """Results of two methods with two rows each on two tasks; worth differs between measurements by a factor of 2."""

    tasks: tuple[str, ...] = ("one", "two")
    methods: tuple[str, ...] = ("unconditional", *COSTS)
    num_measurements: int = 8
    num_samples: int = 16
    absent: tuple[tuple[str, str], ...] = field(default=())
    other_prior: tuple[tuple[str, str], ...] = field(default=())
    kinds: Mapping[str, str] = field(default_factory=dict)

    def values(self, task: str, method: str, metric: str) -> dict[int, tuple[float, ...]]:
        if (task, method) in self.absent or metric != "worth_energy" or method not in WORTH:
            return {}
        spread = np.linspace(0.5, 1.5, self.num_measurements)
        return {i: (WORTH[method] / x, WORTH[method] / x) for i, x in enumerate(spread)}

    def is_ranked(self, task: str, method: str) -> bool:
        return (task, method) not in self.other_prior

    def line(self, task: str, method: str, metric: str) -> Summary:
        halves = {"nfe": COSTS, "nfe_vjp": COSTS, "train_nfe": TRAINED, "train_nfe_vjp": TRAINED}
        value = halves[metric].get(method, 0.0) / 2 if metric in halves else 1.0
        return Summary(task, method, metric, value, value, value, 0, "")


def point(row: str, sampling: float, training: float, mean: float) -> Point:
    return Point(row, Spent(sampling, training), mean, mean, mean)


def test_a_worth_is_averaged_by_its_reciprocal_over_measurements_and_tasks():
    dps, aps = curves(Made(), "worth_energy", "rows")
    assert [x.mean for x in dps.points] == pytest.approx([2, 8])
    assert all(x.low < x.mean < x.high for x in dps.points) and aps.is_trained


def test_seeds_that_differ_widen_the_interval():
    measurements = np.linspace(-1, 1, 8)[:, None]
    _, same = _crossed(measurements + np.zeros(3))
    _, apart = _crossed(measurements + np.array([-1.0, 0.0, 1.0]))
    _, one = _crossed(measurements)
    assert same == pytest.approx(one) and apart > 2 * same


def test_costs_share_the_training():
    _, aps = curves(Made(), "worth_energy", "rows")
    assert [x.spent.per_sample(10 * 16) for x in aps.points] == [100, 400]
    assert [x.spent.per_sample(1 * 16) for x in aps.points] == [1000, 4000]


def test_a_task_where_a_row_did_not_run_is_left_out_for_all():
    made = Made(absent=(("two", "dps-b100"),))
    assert all(len(curve.points) == 2 for curve in curves(made, "worth_energy", "rows"))


def test_a_task_where_a_row_saw_another_prior_is_left_out_for_all():
    made = Made(other_prior=(("two", "dps-b100"),))
    kept, *_ = curves(made, "worth_energy", "rows")
    assert [x.row for x in kept.points] == ["dps-b100", "dps-b400"]
    assert curves(made, "worth_energy", "rows") == curves(
        Made(tasks=("one",)), "worth_energy", "rows"
    )


def test_the_cost_of_a_quality_is_interpolated_between_rows():
    curve = Curve("dps", (point("a", 100, 0, 2), point("b", 400, 0, 8)), higher_is_better=True)
    assert curve.cost_of(1, 1) == 100 and curve.cost_of(8, 1) == 400
    assert curve.cost_of(5, 1) == pytest.approx(200) and curve.cost_of(9, 1) == math.inf


def test_a_distance_is_better_when_it_is_smaller():
    curve = Curve("dps", (point("a", 100, 0, 2), point("b", 400, 0, 1)), higher_is_better=False)
    assert curve.cost_of(3, 1) == 100 and curve.cost_of(0.5, 1) == math.inf


def test_break_even_is_where_training_has_saved_its_cost():
    dps = Curve("dps", (point("dps-b100", 100, 0, 2), point("dps-b400", 400, 0, 8)), True)
    aps = Curve("aps", (point("aps-b100", 0, 16000, 2), point("aps-b400", 28, 64000, 16)), True)
    first, second = break_evens([dps, aps], 16)
    assert (first.measurements, first.bound) == (10, "at least")
    assert second.bound == "at most" and second.measurements == pytest.approx(64000 / (16 * 372))


def test_a_method_that_reaches_the_quality_for_less_is_never_overtaken():
    dps = Curve("dps", (point("dps-b10", 10, 0, 2),), True)
    ods = Curve("ods", (point("ods-b100", 28, 16000, 1),), True)
    (even,) = break_evens([dps, ods], 16)
    assert even.measurements == math.inf


def test_the_figure_has_points_and_break_evens_in_its_csv():
    drawing = Budget().draw(Made())
    rows = list(csv.DictReader(io.StringIO(drawing.csv)))
    costs = {(x["row"], x["measurements"]): x["cost"] for x in rows if x["measurements"]}
    assert costs["aps-b100", "100"] == "10" and costs["dps-b100", "1"] == "100"
    evens = {x["row"]: x["break_even"] for x in rows if x["against"] == "dps"}
    assert set(evens) == {"aps-b100", "aps-b400"}
    assert "unconditional" not in {x["method"] for x in rows}
