"""Copy a suite's tables and figures to where they are committed: `python -m bench.stages.publish results/<suite>`.

The time and memory that its jobs took are written to results/reference/costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.core.artefacts import write_bytes
from bench.core.layout import COSTS, REFERENCE, Layout
from bench.core.specs import SuiteSpec
from bench.report.page.content import collect
from bench.report.page.render import render
from bench.report.publish import one_grid_per_prior, publish_suite, publish_times
from bench.report.publish_costs import publish_costs
from bench.report.publish_toys import publish_toys
from bench.runtime.job import run
from bench.stats.results import load


def main(*arguments: str) -> None:
    """Publish into results/reference/<suite>/; refuses artefacts of edited sources or of several commits."""
    options = _options(arguments)
    layout = Layout(Path(options.folder))
    if toys := sorted(path.stem for path in layout.spec("toys", "any").parent.glob("*.json")):
        into = Path(options.into) / layout.root.name
        publish_toys(layout, toys, into, options.allow_dirty)
        return
    spec = SuiteSpec.read(layout.spec("suite"))
    into = Path(options.into) / spec.name
    if layout.job_log.exists() or options.costs:
        publish_costs(layout, spec.name, Path(options.into) / COSTS.name)
    if options.costs:
        return
    if not spec.compares:
        publish_times(layout, spec.name, spec.timed, into, options.allow_dirty)
        return
    suite = load(layout.spec("suite"))
    figures = options.figures or [*suite.figures, *one_grid_per_prior(suite)]
    publish_suite(suite, figures, into, options.allow_dirty, options.unchanged)
    page = render(collect(suite, "These are the published results themselves."), compact=True)
    write_bytes(into / "report.html", page.encode())


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.stages.publish", description=__doc__)
    parser.add_argument("folder", help="results/<suite>")
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="publish all the same and say so below the tables",
    )
    parser.add_argument(
        "--unchanged",
        action="store_true",
        help="artefacts of earlier commits are what this one would make; `posterior-bench publish` finds out",
    )
    parser.add_argument(
        "--figures", nargs="+", help="names in figures/; default: overviews and one grid per prior"
    )
    parser.add_argument("--into", default=str(REFERENCE), help=f"default: {REFERENCE}")
    parser.add_argument(
        "--costs",
        action="store_true",
        help="publish only what the jobs took, of any suite that was run",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(main)
