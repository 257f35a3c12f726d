"""Figures of a whole suite: `python -m bench.draw results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.cli import run
from bench.provenance import provenance
from bench.report.results import load
from bench.report.statistics import summarise


def main(spec_path: str) -> None:
    """Write each figure as pdf, png and the csv of what it shows, into figures/."""
    import matplotlib

    from bench.report.figures.cost import quality_rows, quality_seconds, seconds_samples
    from bench.report.figures.curves import calibration, distance, fidelity_diversity, sbc, tarp
    from bench.report.figures.ranks import ranks
    from bench.report.figures.style import RC, save
    from bench.report.figures.training import amortisation, collapse

    suite = load(spec_path)
    lines = summarise(suite)
    info = {"suite": suite.name, "provenance": provenance()}
    with matplotlib.rc_context(RC):
        figures = (fidelity_diversity, distance, calibration, tarp, sbc, collapse, amortisation, ranks)
        for draw in (*figures, quality_rows, quality_seconds):
            save(draw(suite, lines), suite.root / "figures", info)
        if suite.timings:
            save(seconds_samples(suite), suite.root / "figures", info)


if __name__ == "__main__":
    run(main)
