"""Claims of the papers, tested on a suite: `python -m bench.stages.claims results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_csv
from bench.core.provenance import provenance
from bench.papers.claims.ledger import ledger, ledger_frame, ledger_markdown
from bench.papers.published_tables import csv_of
from bench.runtime.job import run
from bench.stats.results import load


def main(spec_path: str) -> None:
    """Write tables/claims.csv and claims.md."""
    suite = load(spec_path)
    frame, folder = ledger_frame(ledger(suite)), suite.root / "tables"
    about = {"suite": suite.name, "provenance": provenance()}
    page = ledger_markdown(f"Suite {suite.name}: claims of the papers", frame)
    write_csv(folder / "claims.csv", csv_of(frame), about, {"claims.md": page.encode()})


if __name__ == "__main__":
    run(main)
