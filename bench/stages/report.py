"""The report of a suite: `python -m bench.stages.report results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_bytes
from bench.core.layout import Layout
from bench.report.page.content import collect
from bench.report.page.render import render
from bench.runtime.job import run
from bench.stats.beside import load_with_published


def main(spec_path: str) -> None:
    """Write report.html, with the figures of figures/ inside."""
    suite = load_with_published(spec_path)
    write_bytes(Layout(suite.root).report, render(collect(suite)).encode())


if __name__ == "__main__":
    run(main)
