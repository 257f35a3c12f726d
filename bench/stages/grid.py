"""Pictures of one task: `python -m bench.stages.grid results/<suite>/specs/evaluate/<task>.json`.

Pictures that cannot be drawn show the reason instead.
"""

from __future__ import annotations

import os

from bench.core import registry
from bench.core.papers import rehearsal_mark
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.specs import EvaluateSpec
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.stats.samples import task_samples


def main(spec_path: str) -> None:
    """Write figures/grid-<task> as pdf, png and the csv of its pixels: the runs with the first seed."""
    os.environ["MPLBACKEND"] = "agg"  # the import fails with a backend that this machine lacks
    from bench.figures._saving import save
    from bench.figures._style import drawing_style

    spec = EvaluateSpec.read(spec_path)
    root, task, seed = spec.layout.root, spec.task, spec.runs[0].seed
    methods = [run.method for run in spec.runs if run.seed == seed]
    with drawing_style():
        drawing = registry.load("figure", "grid")().draw(task_samples(root, task, methods, seed))
        about = {"suite": root.name, "provenance": provenance()} | rehearsal_mark(root)
        save(drawing, spec.layout.figures, f"grid-{task}", about)


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write the reason in place of the pictures; the next run tries again unless the failure is another job's."""
    os.environ["MPLBACKEND"] = "agg"
    from bench.figures._missing import missing
    from bench.figures._saving import save
    from bench.figures._style import drawing_style

    spec = EvaluateSpec.read(spec_path)
    layout, name = spec.layout, f"grid-{spec.task}"
    info = {"suite": layout.root.name, "provenance": provenance()}
    with drawing_style():
        save(missing(name, ending.reason), layout.figures, name, info)
    outputs = layout.figure_files(name)
    note_failure(outputs[0], ending.reason, not ending.is_inherited)


if __name__ == "__main__":
    run(main, failed=write_failed)
