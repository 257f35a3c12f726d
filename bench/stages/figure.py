"""One figure of a suite: `python -m bench.stages.figure results/<suite>/specs/suite.json <figure>`.

A figure that cannot be drawn shows the reason instead, so that the page still gets all others.
"""

from __future__ import annotations

import os

from bench.core import registry
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.papers import rehearsal_mark
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.specs import SuiteSpec
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.stats.beside import load_with_published
from bench.stats.figure_results import FigureResults


def main(spec_path: str, name: str) -> None:
    """Write figures/<name> as pdf, png and the csv of what it shows."""
    os.environ["MPLBACKEND"] = "agg"  # the import fails with a backend that this machine lacks
    from bench.figures._saving import save
    from bench.figures._style import drawing_style

    suite = load_with_published(spec_path)
    if name not in suite.figures:
        raise UserError(
            f"{spec_path}: figures: expected one of {', '.join(suite.figures)}, got {name!r}"
        )
    plugin = registry.load("figure", name)
    with drawing_style():
        drawing = plugin(**suite.figures[name]).draw(FigureResults(suite))
        about = {"suite": suite.name, "provenance": provenance()} | rehearsal_mark(suite.root)
        save(drawing, Layout(suite.root).figures, name, about)


def write_failed(ending: Ending, spec_path: str, name: str) -> None:
    """Write a picture of the reason in place of a figure; the next run tries again."""
    os.environ["MPLBACKEND"] = "agg"
    from bench.figures._missing import missing
    from bench.figures._saving import save
    from bench.figures._style import drawing_style

    layout = SuiteSpec.read(spec_path).layout
    info = {"suite": layout.root.name, "provenance": provenance()}
    with drawing_style():
        save(missing(name, ending.reason), layout.figures, name, info)
    outputs = layout.figure_files(name)
    note_failure(outputs[0], ending.reason, not ending.is_inherited)


if __name__ == "__main__":
    run(main, failed=write_failed)
