"""The figure of distances with more methods than stand in a row: each has a line that can be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from bench.conformance.figure_cases import suite_results
from bench.conformance.figures import cut_texts
from bench.core.results import Drawing
from bench.figures._style import HEIGHT, drawing_style
from bench.figures.distance import MOST_IN_ROW, Distance
from bench.stats.figure_results import FigureResults

NUM_METHODS, NUM_TASKS = 89, 8  # of the suite `budget`


@pytest.fixture(scope="module")
def drawn() -> Drawing:
    with drawing_style():
        return Distance().draw(FigureResults(suite_results(NUM_METHODS, NUM_TASKS)))


def test_each_method_has_a_line_and_each_task_a_panel_on_one_page(drawn):
    panels = drawn.figure.axes
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert len(panels) == NUM_TASKS and len(set(names)) == NUM_METHODS
    assert drawn.figure.get_figheight() <= HEIGHT


def title_of(panel: Axes) -> Text:
    """Return the title at the left of a panel."""
    words = panel.get_title(loc="left")
    return next(text for text in panel.findobj(Text) if text.get_text() == words)


def test_no_two_names_overlap_and_no_word_is_cut(drawn):
    assert cut_texts(drawn.figure) == []
    renderer = FigureCanvasAgg(drawn.figure).get_renderer()
    across = [panel.get_xticklabels() for panel in drawn.figure.axes]
    titles = [title_of(panel) for panel in drawn.figure.axes]
    for words in (drawn.figure.axes[0].get_yticklabels(), titles, *across):
        boxes = [text.get_window_extent(renderer) for text in words if text.get_text()]
        assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_the_csv_has_a_line_for_each_method_and_task(drawn):
    assert len(drawn.csv.splitlines()) == 1 + NUM_TASKS * (1 + NUM_METHODS)


def test_as_many_methods_as_stand_across_a_table_share_the_row_of_a_task():
    with drawing_style():
        few = Distance().draw(FigureResults(suite_results(MOST_IN_ROW, 2)))
    assert len(few.figure.axes) == 1
