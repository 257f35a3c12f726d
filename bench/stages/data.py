"""Write a data set: `python -m bench.stages.data specs/data/<dataset>.json`."""

from __future__ import annotations

from bench.core.artefacts import write_blocks, write_tensors
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.registry import build
from bench.core.specs import DataSpec
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


if __name__ == "__main__":
    run(main)
