"""The report of a suite: `python -m bench.stages.report results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_recorded
from bench.core.errors import UserError
from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.core.specs import SuiteSpec
from bench.report.page.content import collect
from bench.report.page.render import render
from bench.report.reproduction_page import Reproduction
from bench.runtime.job import run
from bench.stages.reproduce import compared
from bench.stats.beside import with_published
from bench.stats.published_rows import published_rows
from bench.stats.results import SuiteResults, load


def main(spec_path: str) -> None:
    """Write report.html, with charts and pictures inside."""
    suite, spec = load(spec_path), SuiteSpec.read(spec_path)
    reproduced = reproduction(suite)
    suite = with_published(suite, spec.beside) if spec.beside else suite
    about = {"suite": suite.name, "provenance": provenance()}
    page = render(collect(suite, reproduced))
    write_recorded(Layout(suite.root).report, page.encode(), about)


def reproduction(suite: SuiteResults) -> Reproduction | str:
    """Return the comparison with the published results of the suite, or why there is none."""
    try:
        return compared(suite, published_rows(suite.name))
    except UserError as error:
        return str(error)


if __name__ == "__main__":
    run(main)
