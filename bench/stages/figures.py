"""Figures of a whole suite: `python -m bench.stages.figures results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.provenance import provenance
from bench.runtime.job import run
from bench.stats.results import load
from bench.stats.summary import summarise


def main(spec_path: str) -> None:
    """Write each figure as pdf, png and the csv of what it shows, into figures/."""
    import matplotlib

    from bench.figures.cost import quality_rows, quality_seconds, seconds_samples
    from bench.figures.curves import calibration, distance, fidelity_diversity, sbc, tarp
    from bench.figures.ranks import ranks
    from bench.figures.style import RC, save
    from bench.figures.training import amortisation, collapse

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
