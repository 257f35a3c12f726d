"""Compare the images that a checkpoint is for with those of the data set, before anything is opened or fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.checkpoints import CHECKPOINTS
from bench.core.layout import REFERENCE
from bench.core.nested import parsed_json
from bench.core.shipped import shipped

# of the network in a folder of diffusers; older ones have it in the other places
CONFIGS = ("unet/config.json", "model/config.json", "config.json")


def side_fault(prior: Any, size: Sequence[int | None]) -> str | None:
    """Return one line for a checkpoint that is for images of another size; None if it fits or its size is not known.

    size: rows and columns of the data set's images, None if they are known only after it is read.
    """
    source = getattr(prior, "pipeline", None) or getattr(prior, "weights", None)
    side = _side_of(prior)
    if side is None or None in size or list(size) == [side, side]:
        return None
    rows, columns = size
    return (
        f"{source} is for images of {side} x {side} pixels, and those of the data set have {rows} x {columns}; give "
        f"the data set side: {side}, or take another checkpoint"
    )


def _side_of(prior: Any) -> int | None:
    """Return the pixels along the images that a prior's files are for; None if no file here states it."""
    if isinstance(pipeline := getattr(prior, "pipeline", None), str):
        return _side_in(_folder_of(pipeline))
    if isinstance(getattr(prior, "weights", None), str) and hasattr(prior, "architecture"):
        from bench.priors._foreign import chosen_architecture

        return chosen_architecture(prior).side
    return None


def _folder_of(pipeline: str) -> Path:
    """Return where a pipeline is, or would be if it were not at a model hub."""
    if pipeline in CHECKPOINTS:
        return CHECKPOINTS[pipeline].path
    return (
        shipped(pipeline) if pipeline.startswith(f"{REFERENCE}/") else Path(pipeline).expanduser()
    )


def _side_in(folder: Path) -> int | None:
    """Return the side in the config of the network in a diffusers folder; None for images that are not square."""
    found = [folder / name for name in CONFIGS if (folder / name).is_file()]
    try:
        size = parsed_json(found[0].read_text())["sample_size"] if found else None
        if isinstance(size, list) and len(set(size)) == 1:
            size = size[0]
    except (ValueError, OSError, KeyError, TypeError):  # the job that opens it reports this
        return None
    return size if isinstance(size, int) else None
