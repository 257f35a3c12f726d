"""Published numbers beside those of a suite: `python -m bench.stages.published results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_csv
from bench.core.provenance import provenance
from bench.papers.matching import match_numbers
from bench.papers.published import read_numbers, read_papers
from bench.papers.published_tables import (
    csv_of,
    published_frame,
    published_markdown,
    published_tables,
)
from bench.runtime.job import run
from bench.stats.results import load
from bench.stats.summary import summarise


def main(spec_path: str) -> None:
    """Write tables/published.csv and published.md."""
    suite = load(spec_path)
    matches, folder = match_numbers(read_numbers(), suite, summarise(suite)), suite.root / "tables"
    about = {"suite": suite.name, "provenance": provenance()}
    title = f"Suite {suite.name}: published numbers beside ours"
    page = published_markdown(title, published_tables(read_papers(), matches))
    table = csv_of(published_frame(matches))
    write_csv(folder / "published.csv", table, about, {"published.md": page.encode()})


if __name__ == "__main__":
    run(main)
