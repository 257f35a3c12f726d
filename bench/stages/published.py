"""Published numbers beside those of a suite: `python -m bench.stages.published results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_bytes, write_csv
from bench.core.provenance import provenance
from bench.papers.beside import beside, beside_csv, beside_markdown
from bench.papers.protocols import verdicts_on
from bench.papers.published import read_numbers, read_papers
from bench.runtime.job import run
from bench.stats.results import load
from bench.stats.summary import summarise


def main(spec_path: str) -> None:
    """Write tables/published.csv and published.md."""
    suite = load(spec_path)
    verdicts = verdicts_on(read_numbers(), suite, summarise(suite))
    page = beside_markdown(f"Suite {suite.name}: published numbers beside ours", beside(read_papers(), verdicts))
    folder = suite.root / "tables"
    write_csv(folder / "published.csv", beside_csv(verdicts), {"suite": suite.name, "provenance": provenance()})
    write_bytes(folder / "published.md", page.encode())


if __name__ == "__main__":
    run(main)
