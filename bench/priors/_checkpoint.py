"""Open the checkpoint that a suite names: a folder, a checkpoint that ships or was fetched, or a hub id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.checkpoints import CHECKPOINTS, place
from bench.core.errors import UserError
from bench.core.shipped import shipped
from bench.priors.adapters.diffusers import WEIGHTS, Pipeline, open_pipeline

SHIPPED = "results/reference/priors/"  # where the trained checkpoints of the project lie


@dataclass(frozen=True)
class Checkpoint:
    """A pipeline: its place, the class that it draws, and the sha256 of its file of weights ("": any)."""

    source: str
    label: int | None = None
    local_files_only: bool = True
    sha256: str = ""

    def open(self, shape: Sequence[int] | None = None) -> Pipeline:
        """Return the pipeline; raise UserError, one line, if it is missing, has other weights or is for other images.

        shape: that of the images; None: any.
        """
        source = str(shipped(self.source)) if self.source.startswith(SHIPPED) else self.source
        if source in CHECKPOINTS:
            source = str(place(source))
        if self.sha256:
            self._check(Path(source).expanduser())
        pipeline = open_pipeline(source, self.label, self.local_files_only)
        if shape is not None and pipeline.shape != tuple(shape):
            raise UserError(
                f"{self.source}: is for images {pipeline.shape}, the data set has {tuple(shape)}"
            )
        return pipeline

    def _check(self, folder: Path) -> None:
        files = [folder / "unet" / WEIGHTS, folder / WEIGHTS]
        found = [file for file in files if file.is_file()]
        if not found:
            raise UserError(f"{folder}: has no {WEIGHTS}; sha256 needs a folder with one")
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if digest != self.sha256:
            raise UserError(f"{found[0]}: has sha256 {digest}, expected {self.sha256}")
