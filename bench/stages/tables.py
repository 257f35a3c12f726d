"""Tables of a suite: `python -m bench.stages.tables results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.papers import rehearsal_mark
from bench.core.provenance import provenance
from bench.report.write import write_tables
from bench.runtime.job import run
from bench.stats.beside import load_with_published


def main(spec_path: str) -> None:
    """Write tables/ from the results that the spec lists."""
    suite = load_with_published(spec_path)
    about = {"suite": suite.name, "provenance": provenance()}
    write_tables(suite, about | rehearsal_mark(suite.root))


if __name__ == "__main__":
    run(main)
