"""Pictures of one task: `python -m bench.stages.grid results/<suite>/specs/evaluate/<task>.json`."""

from __future__ import annotations

from bench.core.provenance import provenance
from bench.core.specs import EvaluateSpec
from bench.report.draws import measurements, sources
from bench.runtime.job import run


def main(spec_path: str) -> None:
    """Write figures/grid-<task> as pdf, png and the csv of its pixels: the runs with the first seed."""
    import matplotlib

    from bench.figures.grid import grid
    from bench.figures.style import RC, save

    spec = EvaluateSpec.read(spec_path)
    root, task, seed = spec.layout.root, spec.task, spec.runs[0].seed
    methods = [run.method for run in spec.runs if run.seed == seed]
    with matplotlib.rc_context(RC):
        drawing = grid(task, measurements(root, task), sources(root, task, methods, seed))
        save(drawing, spec.layout.figures, {"suite": root.name, "provenance": provenance()})


if __name__ == "__main__":
    run(main)
