"""The figure of distances with more methods than stand in a row: each has a line that can be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.conformance.figure_cases import suite_results
from bench.conformance.figures import cut_texts
from bench.core.results import Drawing
from bench.figures._style import HEIGHT, drawing_style
from bench.figures.distance import MOST_IN_ROW, Distance
from bench.stats.figure_results import FigureResults

NUM_METHODS, NUM_TASKS = 89, 6  # of the suite `budget`


@pytest.fixture(scope="module")
def drawn() -> Drawing:
    with drawing_style():
        return Distance().draw(FigureResults(suite_results(NUM_METHODS, NUM_TASKS)))


def test_each_method_has_a_line_and_each_task_a_panel_on_one_page(drawn):
    panels = drawn.figure.axes
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert len(panels) == NUM_TASKS and len(set(names)) == NUM_METHODS
    assert drawn.figure.get_figheight() <= HEIGHT


def test_no_two_names_overlap_and_no_word_is_cut(drawn):
    assert cut_texts(drawn.figure) == []
    renderer = FigureCanvasAgg(drawn.figure).get_renderer()
    panel = drawn.figure.axes[0]
    for labels in (panel.get_yticklabels(), panel.get_xticklabels()):
        boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
        assert boxes and not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_the_csv_has_a_line_for_each_method_and_task(drawn):
    assert len(drawn.csv.splitlines()) == 1 + NUM_TASKS * (1 + NUM_METHODS)


def test_as_many_methods_as_stand_across_a_table_share_the_row_of_a_task():
    with drawing_style():
        few = Distance().draw(FigureResults(suite_results(MOST_IN_ROW, 2)))
    assert len(few.figure.axes) == 1
