"""Pictures of one task: `python -m bench.picture results/<suite>/specs/evaluate/<task>.json`."""

from __future__ import annotations

from pathlib import Path

from bench.artefacts import read_json
from bench.cli import run
from bench.provenance import provenance
from bench.report.draws import measurements, sources


def main(spec_path: str) -> None:
    """Write figures/grid-<task> as pdf, png and the csv of its pixels: the runs with the first seed."""
    import matplotlib

    from bench.report.figures.grid import grid
    from bench.report.figures.style import RC, save

    spec = read_json(spec_path)
    root, task, seed = Path(spec["root"]), spec["task"], spec["runs"][0]["seed"]
    methods = [entry["method"] for entry in spec["runs"] if entry["seed"] == seed]
    with matplotlib.rc_context(RC):
        drawing = grid(task, measurements(root, task), sources(root, task, methods, seed))
        save(drawing, root / "figures", {"suite": root.name, "provenance": provenance()})


if __name__ == "__main__":
    run(main)
