"""Write a data set: `python -m bench.stages.data specs/data/<dataset>.json`.

Where a data set cannot be read, a file says why: tasks on it have no numbers, and all others go on.
"""

from __future__ import annotations

from torch import Tensor

from bench.core.artefacts import ArtefactError, write_blocks, write_broken, write_tensors
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.registry import build
from bench.core.retries import note_failure
from bench.core.specs import DataSpec
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.runtime.surroundings import kept_surroundings

FURTHEST = 50.0  # largest value allowed: fields in units of their deviation stay below, unscaled bytes reach 255


def main(spec_path: str) -> None:
    spec = DataSpec.read(spec_path)
    path = spec.layout.data(spec.dataset)
    header = {"dataset": spec.dataset, "parameters": spec.parameters, "provenance": provenance()}
    try:
        with kept_surroundings():
            dataset = build("dataset", spec.plugin, spec.parameters)
            whole = None if hasattr(dataset, "blocks") else images(dataset.load())
        if whole is None:  # it may be too large for memory
            write_blocks(path, map(images, dataset.blocks(header)), lambda: header)
        else:
            write_tensors(path, whole, header)
    except ValueError as error:
        raise UserError(f"{spec_path}: {error}") from None


def images(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a data set; ValueError where images are not finite or far from [-1, 1]."""
    for name, x in tensors.items():
        if x.is_floating_point() and not (x.abs() <= FURTHEST).all():
            raise ValueError(f"{name} has values that are not finite, or far beyond [-1, 1]")
    return tensors


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write why there is no data set; the next run tries again."""
    spec = DataSpec.read(spec_path)
    path, reason = spec.layout.data(spec.dataset), f"data set {spec.dataset}: {ending.reason}"
    write_broken(path, reason, {"dataset": spec.dataset, "provenance": provenance()})
    note_failure(path, reason, ending.is_passing)


if __name__ == "__main__":
    run(main, failed=write_failed, refuses=(ArtefactError,))
