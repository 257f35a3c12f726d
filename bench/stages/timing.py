"""`python -m bench.stages.timing results/<suite>/specs/suite.json`: tables/timing.csv and timing.md of a suite of times."""

from __future__ import annotations

from pathlib import Path

from bench.core.artefacts import read_json, write_bytes, write_csv
from bench.core.layout import Layout
from bench.core.provenance import provenance
from bench.report.markup import markdown_page
from bench.report.timing_table import timing_csv, timing_notes, timing_table
from bench.runtime.job import run


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    root = Path(spec["root"])
    timings = [read_json(Layout(root).run(*timed).timing) for timed in spec["timed"]]
    folder = root / "tables"
    write_csv(folder / "timing.csv", timing_csv(timings), {"suite": spec["name"], "provenance": provenance()})
    page = markdown_page(f"Suite {spec['name']}", [timing_table(timings)], timing_notes(timings))
    write_bytes(folder / "timing.md", page.encode())


if __name__ == "__main__":
    run(main)
