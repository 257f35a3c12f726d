"""Copy a suite's logs of tuning to where they are committed, and print a table of their winners.

`python -m bench.stages.publish_tuning results/<suite> [folder]` writes into results/reference/tuning/<suite> by
default, and the suite `tuning` into results/reference/tuning itself.
`snakemake tuned` runs the tuning; this publishes what it found.
"""

from __future__ import annotations

from pathlib import Path

from bench.core.layout import REFERENCE
from bench.report.publish_tuning import publish_tuning
from bench.runtime.job import run


def main(folder: str, into: str = "") -> None:
    """Publish the logs and print the table of winners; refuses logs of edited sources or of several commits."""
    suite = Path(folder).resolve().name
    default = REFERENCE / "tuning" / ("" if suite == "tuning" else suite)
    print(publish_tuning(Path(folder), Path(into) if into else default), end="")


if __name__ == "__main__":
    run(main)
