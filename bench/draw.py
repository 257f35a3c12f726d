"""Figures of a suite: `python -m bench.draw results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.artefacts import read_tensors
from bench.cli import run
from bench.provenance import provenance
from bench.report.results import Suite, Task, in_words, load, num_measured, run_folder
from bench.report.statistics import summarise


def main(spec_path: str) -> None:
    """Write each figure as pdf, png and the csv of what it shows, into figures/."""
    import matplotlib

    from bench.report.figures.curves import calibration, distance, fidelity_diversity
    from bench.report.figures.grid import grid
    from bench.report.figures.ranks import ranks
    from bench.report.figures.style import RC, save
    from bench.report.figures.training import amortisation, collapse

    suite = load(spec_path)
    lines = summarise(suite)
    info = {"suite": suite.name, "provenance": provenance()}
    with matplotlib.rc_context(RC):
        for draw in (fidelity_diversity, distance, calibration, collapse, amortisation, ranks):
            save(draw(suite, lines), suite.root / "figures", info)
        for task in suite.tasks:
            seen = _arrays(suite, task.name, "observations")
            save(grid(task.name, seen, _sources(suite, task)), suite.root / "figures", info)


def _sources(suite: Suite, task: Task) -> list:
    """Exact draws, then the samples of each method with its first seed."""
    from bench.report.figures.grid import Source

    sources = [Source("exact", _arrays(suite, task.name, "exact")["x_b"])]
    for found in task.runs:
        if found.seed == suite.seeds[0]:
            path = run_folder(suite.root, task.name, found.method, found.seed) / "samples.safetensors"
            status = found.header.get("status", "ok")
            reason = "" if status == "ok" else in_words(status, found.header.get("reason", ""))
            measured = num_measured(found.header, suite.num_measurements)
            sources.append(Source(found.method, read_tensors(path)[0]["x"].numpy()[:measured], reason))
    return sources


def _arrays(suite: Suite, task: str, name: str) -> dict:
    tensors, _ = read_tensors(suite.root / "tasks" / task / f"{name}.safetensors")
    return {key: tensor.numpy() for key, tensor in tensors.items()}


if __name__ == "__main__":
    run(main)
