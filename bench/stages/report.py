"""The report of a suite: `python -m bench.stages.report results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_recorded
from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.report.page.content import collect
from bench.report.page.render import render
from bench.runtime.job import run
from bench.stats.beside import load_with_published


def main(spec_path: str) -> None:
    """Write report.html, with the figures of figures/ inside."""
    suite = load_with_published(spec_path)
    about = {"suite": suite.name, "provenance": provenance()}
    write_recorded(Layout(suite.root).report, render(collect(suite)).encode(), about)


if __name__ == "__main__":
    run(main)
