"""Write a data set: `python -m bench.stages.data specs/data/<dataset>.json`."""

from __future__ import annotations

from bench.core.artefacts import write_tensors
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.registry import build
from bench.core.specs import DataSpec
from bench.runtime.job import run


def main(spec_path: str) -> None:
    spec = DataSpec.read(spec_path)
    try:
        tensors = build("dataset", spec.plugin, spec.parameters).load()
    except ValueError as error:
        raise UserError(f"{spec_path}: {error}") from None
    header = {"dataset": spec.dataset, "parameters": spec.parameters, "provenance": provenance()}
    write_tensors(spec.layout.data(spec.dataset), tensors, header)


if __name__ == "__main__":
    run(main)
