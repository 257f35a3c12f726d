"""Write a data set: `python -m bench.stages.data specs/data/<dataset>.json`."""

from __future__ import annotations

from pathlib import Path

from bench.core.artefacts import read_json, write_tensors
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.registry import build, plugin_of
from bench.runtime.job import run


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    try:
        plugin = spec.get("plugin") or plugin_of("dataset", spec["dataset"])
        tensors = build("dataset", plugin, spec["parameters"]).load()
    except ValueError as error:
        raise UserError(f"{spec_path}: {error}") from None
    header = {"dataset": spec["dataset"], "parameters": spec["parameters"], "provenance": provenance()}
    write_tensors(Path(spec["root"]) / "data" / f"{spec['dataset']}.safetensors", tensors, header)


if __name__ == "__main__":
    run(main)
