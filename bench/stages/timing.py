"""Tables of a suite that only measures times: `python -m bench.stages.timing results/<suite>/specs/suite.json`."""

from __future__ import annotations

from bench.core.artefacts import read_json
from bench.core.provenance import provenance
from bench.core.specs import SuiteSpec
from bench.report.write import write_timing
from bench.runtime.job import run


def main(spec_path: str) -> None:
    """Write timing.csv and timing.md into tables/."""
    spec = SuiteSpec.read(spec_path)
    timings = [read_json(spec.layout.run(*timed).timing) for timed in spec.timed]
    write_timing(spec.layout, spec.name, timings, {"suite": spec.name, "provenance": provenance()})


if __name__ == "__main__":
    run(main)
