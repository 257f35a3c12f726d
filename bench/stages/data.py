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

PARTS = ("train", "validation", "test")
FURTHEST = 50.0  # largest value allowed: fields in units of their deviation stay below, unscaled bytes reach 255


def main(spec_path: str) -> None:
    spec = DataSpec.read(spec_path)
    path = spec.layout.data(spec.dataset)
    header = {"dataset": spec.dataset, "parameters": spec.parameters, "provenance": provenance()}
    try:
        with kept_surroundings():
            dataset = build("dataset", spec.plugin, spec.parameters)
            whole = None if hasattr(dataset, "blocks") else images(complete(dataset.load()))
        if whole is None:  # it may be too large for memory
            write_blocks(path, map(images, dataset.blocks(header)), lambda: header)
        else:
            write_tensors(path, whole, header)
    except ValueError as error:
        raise UserError(f"{spec_path}: {error}") from None


def complete(tensors: object) -> dict[str, Tensor]:
    """Return what a data set loads; ValueError, one line, unless each part has images of one shape and their ids."""
    if not isinstance(tensors, dict):
        raise ValueError(f"load() returned {type(tensors).__name__}, expected a dict of tensors")
    shape = None
    for part in PARTS:
        x, ids = tensors.get(part), tensors.get(f"{part}_id")
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 4 or not len(x):
            came = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(
                f"load() returned {came} for {part}, expected images (n, c, h, w), floating-point"
            )
        shape = shape or tuple(x.shape[1:])
        if tuple(x.shape[1:]) != shape:
            raise ValueError(
                f"load() returned {part} of shape {tuple(x.shape[1:])}, train has {shape}"
            )
        if (
            not isinstance(ids, Tensor)
            or tuple(ids.shape) != (len(x),)
            or len(ids.unique()) < len(x)
        ):
            raise ValueError(
                f"load() returned no {part}_id with another number for each of {len(x)} images"
            )
    return tensors


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
