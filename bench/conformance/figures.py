"""The checks that every figure passes: a caption, a csv, and no word cut off, with one method and with twenty."""

from __future__ import annotations

import csv
import dataclasses
import inspect
import io
from dataclasses import dataclass
from functools import cache, cached_property

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.conformance.checks import Check, require
from bench.conformance.figure_cases import suite_results, task_samples
from bench.conformance.plugin import PLUGIN_CHECKS, PluginCase
from bench.core.results import Drawing, TaskSamples
from bench.figures._style import drawing_style
from bench.stats.figure_results import FigureResults

SIZES = ((1, 1), (20, 1), (20, 5))  # methods, tasks
SLACK = 0.02  # inches by which ink may cross the edge: half of a line's width


@dataclass(frozen=True)
class Drawn:
    """A figure drawn from made-up results. cut: its texts that cross the edge, and by how many inches."""

    num_methods: int
    num_tasks: int
    drawing: Drawing
    cut: list[tuple[str, float]]

    def __str__(self) -> str:
        return f"with {self.num_methods} methods on {self.num_tasks} tasks"


@dataclass(frozen=True)
class FigureCase(PluginCase):
    """A figure's file, and what it draws from made-up results."""

    @property
    def is_of_task(self) -> bool:
        """Return whether `draw` gets the samples of one task, as the annotation of `results` says."""
        parameter = inspect.signature(self.cls.draw).parameters.get("results")
        return parameter is not None and parameter.annotation in (TaskSamples, TaskSamples.__name__)

    @cached_property
    def drawn(self) -> list[Drawn]:
        """Draw at each of SIZES."""
        return [self._draw(*size) for size in SIZES]

    def _draw(self, num_methods: int, num_tasks: int) -> Drawn:
        results = task_samples(num_methods) if self.is_of_task else made_up(num_methods, num_tasks)
        with drawing_style():
            drawing = self.instance.draw(results)
            return Drawn(num_methods, num_tasks, drawing, cut_texts(drawing.figure))


@cache
def made_up(num_methods: int, num_tasks: int) -> FigureResults:
    """Return results that all figures share, so that their means and intervals are computed once."""
    return FigureResults(suite_results(num_methods, num_tasks))


def has_caption(case: FigureCase) -> str:
    caption = getattr(case.cls, "caption", None)
    require(
        isinstance(caption, str) and caption.strip().endswith("."),
        f"caption is {caption!r}; expected sentences that say what is shown: `caption: ClassVar[str]`",
    )
    return ""


def has_defaults(case: FigureCase) -> str:
    required = [
        field.name
        for field in dataclasses.fields(case.cls)
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    require(not required, f"no default for {', '.join(required)}; a suite may list it as {{}}")
    return ""


def draws(case: FigureCase) -> str:
    return "; ".join(map(str, case.drawn))


def csv_has_rows(case: FigureCase) -> str:
    for drawn in case.drawn:
        rows = list(csv.reader(io.StringIO(drawn.drawing.csv)))
        # a figure that compares methods has no row when there is only one
        fewest = 2 if drawn.num_methods > 1 else 1
        require(len(rows) >= fewest, f"the csv has {len(rows)} lines, {drawn}; expected {fewest}")
    return ""


def words_are_whole(case: FigureCase) -> str:
    for drawn in case.drawn:
        for words, inches in drawn.cut:
            require(False, f"{words!r} is cut by {inches:.2f} inches, {drawn}")
    return ""


def cut_texts(figure: Figure) -> list[tuple[str, float]]:
    """Return the words that cross the edge of a figure, and by how many inches."""
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


CHECKS = (
    *PLUGIN_CHECKS,
    Check("it has a caption", has_caption),
    Check("each parameter has a default", has_defaults, gate=True),
    Check("it draws", draws, gate=True),
    Check("the csv has rows", csv_has_rows),
    Check("no word is cut off", words_are_whole),
)
CASE = FigureCase
