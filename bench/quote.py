"""Published numbers beside those of a suite: `python -m bench.quote results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.artefacts import write_bytes, write_csv
from bench.cli import run
from bench.provenance import provenance
from bench.report.beside import beside, beside_csv, beside_markdown
from bench.report.protocols import verdicts_on
from bench.report.published import read_numbers, read_papers
from bench.report.results import load
from bench.report.statistics import summarise


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
