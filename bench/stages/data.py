"""Write a data set: `python -m bench.stages.data specs/data/<dataset>.json`.

One that cannot be read leaves a file that says why: tasks on it have no numbers, all others go on.
"""

from __future__ import annotations

from bench.core.artefacts import ArtefactError, write_blocks, write_broken, write_tensors
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.registry import build
from bench.core.retries import note_failure
from bench.core.specs import DataSpec
from bench.runtime.containment import Ending
from bench.runtime.job import run


def main(spec_path: str) -> None:
    spec = DataSpec.read(spec_path)
    path = spec.layout.data(spec.dataset)
    header = {"dataset": spec.dataset, "parameters": spec.parameters, "provenance": provenance()}
    try:
        dataset = build("dataset", spec.plugin, spec.parameters)
        if hasattr(dataset, "blocks"):  # it may be too large for memory
            write_blocks(path, dataset.blocks(header), lambda: header)
        else:
            write_tensors(path, dataset.load(), header)
    except ValueError as error:
        raise UserError(f"{spec_path}: {error}") from None


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write why there is no data set; the next run tries again."""
    spec = DataSpec.read(spec_path)
    path, reason = spec.layout.data(spec.dataset), f"data set {spec.dataset}: {ending.reason}"
    write_broken(path, reason, {"dataset": spec.dataset, "provenance": provenance()})
    note_failure(path, reason, ending.is_passing)


if __name__ == "__main__":
    run(main, failed=write_failed, refuses=(ArtefactError,))
