"""What a suite's folder holds, in a few lines: `python -m bench.stages.summary results/<suite>/specs/suite.json`."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.core.layout import Layout
from bench.report.end_of_run import print_summary


def main(path: str) -> None:
    """Print the summary of a suite, given its folder or its spec; works on unfinished suites."""
    folder = Path(path)
    print_summary(Layout(folder if folder.is_dir() else folder.parents[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
