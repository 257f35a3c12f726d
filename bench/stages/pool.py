"""`python -m bench.stages.pool specs/clock/<task>/<method>/seed<k>.json`: timing.json from all visits to a run."""

from __future__ import annotations

from bench.core.artefacts import read_json, write_json
from bench.core.provenance import provenance
from bench.core.specs import ClockSpec
from bench.runtime.job import run
from bench.runtime.visits import pool_visits


def main(spec_path: str) -> None:
    """Write timing.json from visits/1.json, visits/2.json, ..."""
    spec = ClockSpec.read(spec_path)
    files = spec.layout.run(spec.task, spec.method, spec.seed)
    visits = [read_json(files.visit(number)) for number in range(1, spec.clock.visits + 1)]
    write_json(files.timing, pool_visits(visits) | {"pooled_by": provenance()})


if __name__ == "__main__":
    run(main)
