"""What every figure must do, tried on results of made-up numbers: `faults_of_figure(registry.load("figure", name))`."""

from __future__ import annotations

import csv
import dataclasses
import io
import typing

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.conformance.figure_cases import suite_results, task_samples
from bench.core.results import Drawing, TaskSamples
from bench.figures._style import drawing_style
from bench.stats.figure_results import FigureResults

CASES = ((1, 1), (20, 1), (20, 5))  # methods, tasks
SLACK = 0.02  # inches that ink may stand over the edge: half of a line's width


def faults_of_figure(plugin: type) -> list[str]:
    """Return a line for each thing that the class of a figure lacks or does wrong; [] for a good one."""
    is_frozen = dataclasses.is_dataclass(plugin) and vars(plugin)["__dataclass_params__"].frozen
    faults = [] if is_frozen else ["is no frozen dataclass"]
    caption = getattr(plugin, "caption", None)
    if not (isinstance(caption, str) and caption.strip().endswith(".")):
        faults.append(
            "caption: expected sentences that say what is shown; add `caption: ClassVar[str]`"
        )
    if not faults:
        missing = dataclasses.MISSING
        required = [
            f.name for f in dataclasses.fields(plugin) if f.default is f.default_factory is missing
        ]
        faults = [f"{name}: expected a default value" for name in required]
    if faults:
        return faults
    is_of_task = typing.get_type_hints(plugin.draw).get("results") is TaskSamples
    for num_methods, num_tasks in CASES:
        results = (
            task_samples(num_methods)
            if is_of_task
            else FigureResults(suite_results(num_methods, num_tasks))
        )
        with drawing_style():
            drawing = plugin().draw(results)
            # what compares has nothing to say of one
            of_case = faults_of_drawing(drawing, has_rows=num_methods > 1)
        faults += [f"{fault}, with {num_methods} methods on {num_tasks} tasks" for fault in of_case]
    return faults


def faults_of_drawing(drawing: Drawing, has_rows: bool = True) -> list[str]:
    """Return what is wrong with a figure as it would be saved: an empty csv, words beyond the edge.

    has_rows: whether the csv must have a row below its header.
    """
    rows = list(csv.reader(io.StringIO(drawing.csv)))
    faults = [] if len(rows) > has_rows else ["csv: has no row"]
    return faults + [
        f"{words!r} is cut by {over:.2f} inches" for words, over in cut_texts(drawing.figure)
    ]


def cut_texts(figure: Figure) -> list[tuple[str, float]]:
    """Return the words that stand over the edge of a figure, and by how many inches."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    words = [
        text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()
    ]
    ticks = {
        id(label): axes
        for axes in figure.axes
        for axis in ("x", "y")
        for label in _tick_labels(axes, axis)
    }
    cut = []
    for text in words:
        box = text.get_window_extent(renderer)
        over = (
            max(-box.x0, -box.y0, box.x1 - figure.bbox.width, box.y1 - figure.bbox.height)
            / figure.dpi
        )
        if over > SLACK and (id(text) not in ticks or _is_in_view(text, ticks[id(text)])):
            cut.append((text.get_text(), over))
    return cut


def _is_in_view(label: Text, axes: Axes) -> bool:
    """Return whether the label of a tick lies within the limits of its axes; matplotlib does not draw the others."""
    x, y = axes.transAxes.inverted().transform(
        label.get_transform().transform(label.get_position())
    )
    along = x if any(label is other for other in _tick_labels(axes, "x")) else y
    return -1e-6 <= along <= 1 + 1e-6


def _tick_labels(axes: Axes, axis: str) -> list[Text]:
    of_axis = axes.xaxis if axis == "x" else axes.yaxis
    return [*of_axis.get_ticklabels(), *of_axis.get_ticklabels(minor=True)]
