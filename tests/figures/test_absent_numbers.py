"""Figures of a suite without reference draws, or with a sweep on one of its tasks: no empty panels, no idle names."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from bench.conformance.figure_cases import suite_results
from bench.figures.clock import Clock
from bench.figures.reward import Reward
from bench.figures.sweep import Sweep
from bench.stats.figure_results import FigureResults


@pytest.fixture(scope="module")
def suite():
    return suite_results(3, 2)


def test_seconds_are_alone_where_nothing_has_a_worth(suite):
    both = Clock().draw(FigureResults(suite)).figure
    # two tasks: seconds with a second axis of the worth, and seconds against that worth
    assert len(both.axes) == 6
    judged_by_nothing = tuple({**timing, "worth": {}} for timing in suite.timings)
    alone = Clock().draw(FigureResults(replace(suite, timings=judged_by_nothing))).figure
    assert len(alone.axes) == 2
    assert [axes.get_xlabel() for axes in alone.axes] == ["", "samples of one measurement"]


def test_a_sweep_names_only_the_tasks_that_have_a_curve(suite):
    first, second = (task.name for task in suite.tasks)
    # on the first task one of the two rows has failed
    values = {method: float(i) for i, method in enumerate(suite.methods) if i > 0}
    drawing = Sweep(sweeps={"steps": values}).draw(FigureResults(suite))
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [second]
    lines = list(csv.DictReader(io.StringIO(drawing.csv)))
    assert [line["task"] for line in lines] == [second] * 2 and first not in drawing.csv


def test_reward_against_diversity_alone(suite):
    results = FigureResults(suite)
    assert len(Reward().draw(results).figure.axes) == 4
    assert len(Reward(frechet="").draw(results).figure.axes) == 2
