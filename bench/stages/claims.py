"""Claims of the papers, tested on a suite: `python -m bench.stages.claims results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import write_bytes, write_csv
from bench.core.provenance import provenance
from bench.papers.claims.entries import ledger
from bench.papers.claims.ledger import ledger_csv, ledger_markdown
from bench.runtime.job import run
from bench.stats.results import load


def main(spec_path: str) -> None:
    """Write tables/claims.csv and claims.md."""
    suite = load(spec_path)
    entries, folder = ledger(suite), suite.root / "tables"
    write_csv(folder / "claims.csv", ledger_csv(entries), {"suite": suite.name, "provenance": provenance()})
    write_bytes(folder / "claims.md", ledger_markdown(f"Suite {suite.name}: claims of the papers", entries).encode())


if __name__ == "__main__":
    run(main)
