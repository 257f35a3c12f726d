"""Published numbers beside those of a suite: `python -m bench.stages.published results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_csv
from bench.core.papers import paper_of, rehearsal_mark
from bench.core.provenance import provenance
from bench.papers.matching import match_numbers
from bench.papers.published import read_numbers, read_papers
from bench.papers.published_tables import (
    csv_of,
    published_frame,
    published_markdown,
    published_tables,
)
from bench.papers.side_by_side import side_by_side, side_by_side_markdown
from bench.runtime.job import run
from bench.stats.results import load
from bench.stats.summary import summarise


def main(spec_path: str) -> None:
    """Write tables/published.csv and published.md and, in a suite that follows a paper, side_by_side.csv."""
    suite, numbers = load(spec_path), read_numbers()
    paper, folder = paper_of(suite.root), suite.root / "tables"
    named = dict.fromkeys(("nfe", *(x.spec for x in numbers if x.spec)))
    lines = summarise(suite) if paper else [x for name in named for x in summarise(suite, name)]
    matches = match_numbers(numbers, suite, lines)
    about = {"suite": suite.name, "provenance": provenance()} | rehearsal_mark(suite.root)
    title = f"Suite {suite.name}: published numbers beside ours"
    text = published_markdown(title, published_tables(read_papers(), matches))
    files = {}
    if paper:
        frame = side_by_side(numbers, paper, lines)
        files["side_by_side.csv"] = csv_of(frame).encode()
        write_csv(folder / "side_by_side.csv", csv_of(frame), about)
        text += f"\n{side_by_side_markdown(frame, paper)}"
    files["published.md"] = text.encode()
    write_csv(folder / "published.csv", csv_of(published_frame(matches)), about, files)


if __name__ == "__main__":
    run(main)
