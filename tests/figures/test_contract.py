"""Every figure in bench/figures, found by its file: caption, csv, one and twenty methods without cut words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from matplotlib.figure import Figure

from bench.conformance.figures import faults_of_figure
from bench.core import registry
from bench.core.results import CLOCK, FIGURES, Drawing, Results


@pytest.mark.parametrize("name", registry.names("figure"))
def test_figure_meets_the_contract(name):
    assert faults_of_figure(registry.load("figure", name)) == []


def test_each_figure_of_every_suite_has_a_file():
    assert all(registry.find("figure", name) for name in (*FIGURES, CLOCK, "grid"))


@dataclass(frozen=True)
class Bad:
    caption: ClassVar[str] = "Words that stand over the edge."

    def draw(self, results: Results) -> Drawing:
        figure = Figure(figsize=(2, 2))
        figure.text(0.9, 0.5, "far too long for its place")
        return Drawing(figure, "task,value\n")


def test_faults_are_found():
    faults = faults_of_figure(Bad)
    assert "csv: has no row, with 20 methods on 1 tasks" in faults
    assert any(fault.startswith("'far too long for its place' is cut by") for fault in faults)
    assert faults_of_figure(int) == [
        "is no frozen dataclass",
        "caption: expected sentences that say what is shown; add `caption: ClassVar[str]`",
    ]
