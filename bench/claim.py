"""Claims of the papers, tested on a suite: `python -m bench.claim results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.artefacts import write_bytes, write_csv
from bench.cli import run
from bench.provenance import provenance
from bench.report.claims.entries import ledger
from bench.report.claims.ledger import ledger_csv, ledger_markdown
from bench.report.results import load


def main(spec_path: str) -> None:
    """Write tables/claims.csv and claims.md."""
    suite = load(spec_path)
    entries, folder = ledger(suite), suite.root / "tables"
    write_csv(folder / "claims.csv", ledger_csv(entries), {"suite": suite.name, "provenance": provenance()})
    write_bytes(folder / "claims.md", ledger_markdown(f"Suite {suite.name}: claims of the papers", entries).encode())


if __name__ == "__main__":
    run(main)
