"""`consistency`: a consistency model, a map from noise to images in one or a few network calls.

Song et al., Consistency Models, ICML 2023. https://arxiv.org/abs/2303.01469
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.types import Cap, Prior
from bench.core.values import is_count, require
from bench.priors._card import write_picture
from bench.priors._checkpoint import Checkpoint
from bench.priors._consistency import Consistency, fit_map, load_map
from bench.priors._distil import new_student, self_consistency, trained
from bench.priors._draws import drawn
from bench.priors.adapters.diffusers import Pipeline

__all__ = ["ConsistencyFamily"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class ConsistencyFamily:
    """A consistency model distilled from a teacher's denoiser (consistency distillation), or a diffusers pipeline.

    Maps of the family `regression_map` are fitted to the ends of the teacher's ODE instead. At equal cost such a map
    was nearer to its teacher: docs/priors-and-truth.md.
    """

    # a folder in the diffusers format or a hub id, instead of distilling
    pipeline: str | None = None
    sha256: str = ""  # expected hash of the file of weights; "": not checked
    label: int | None = None  # class to draw, if that pipeline is class-conditional
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    num_steps: int = 1  # network calls per image
    num_levels: int = 18  # noise levels; the teacher takes a step of its ODE between two of them
    channels: tuple[int, ...] = (
        16,
        16,
    )  # used if the student is not a copy of its teacher's network
    layers_per_block: int = 0  # residual blocks per resolution; 0: strided convolutions only
    # draws of the teacher on which it is distilled; 0: the data set's images instead
    num_draws: int = 0
    num_iterations: int = 900  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 8e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # decay of the running average of the weights, which is the result
    target_decay: float = 0.95  # decay of the running average of the weights that is the target
    sigma_min: float = 0.002  # data units
    sigma_max: float = 20.0  # data units

    takes_teacher: ClassVar[bool] = True
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {"channels": (4, 4), "num_iterations": 3}

    def __post_init__(self) -> None:
        require(
            is_count(self.num_steps),
            f"consistency: num_steps must be a positive integer, got {self.num_steps!r}",
        )

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Distil or open, and write `folder`/pipeline and samples.png; the card has the error to the teacher's ODE."""
        if self.pipeline is not None:
            given = (self.label, self.local_files_only, self.sha256)
            pipeline = Checkpoint(self.pipeline, *given).open(data["train"].shape[1:])
        elif teacher is None:
            raise UserError("family consistency: expected a teacher or a pipeline")
        else:
            pipeline = self.distilled(teacher, data)
        files = fit_map(pipeline, self.num_steps, teacher, folder)
        write_picture(folder / "samples.png", self.load({}, folder, teacher))
        return files

    def distilled(self, teacher: Prior, data: Tensors) -> Pipeline:
        """Return a map distilled from a teacher's denoiser; raise UserError, one line, for a teacher without one."""
        if Cap.DENOISER not in teacher.caps:
            raise UserError(
                f"family consistency: expected a teacher with DENOISER, got one with {teacher.caps}"
            )
        images = drawn(teacher, "train", self.num_draws) if self.num_draws else data["train"]
        student, rng = new_student(teacher, images, self)
        return trained(student, self_consistency(student, teacher, images, self, rng), self)

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Consistency:
        """Return the prior in `folder`/pipeline, with its teacher's denoiser and density."""
        return load_map(folder, self.num_steps, teacher, self.label)
