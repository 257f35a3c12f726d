"""`consistency`: a map from noise to images in one or two network calls, distilled from a teacher's denoiser.

Song et al., Consistency Models, ICML 2023. https://arxiv.org/abs/2303.01469
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.types import Cap, Prior
from bench.priors import _networks as networks
from bench.priors._consistency import Consistency
from bench.priors._distil import distil
from bench.priors.adapters.diffusers import CONSISTENCY, Pipeline, open_pipeline, write_pipeline
from bench.priors.adapters.preconditioning import ConsistencyMap

__all__ = ["ConsistencyFamily"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class ConsistencyFamily:
    """A map distilled from a teacher's denoiser, or a diffusers pipeline.

    By default a regression on the ends of the teacher's ODE, which is no consistency model in the sense of the paper:
    `objective: distillation` is one. At equal cost the regression is nearer to the teacher: docs/priors-and-truth.md.
    """

    # a hub id or a folder in the diffusers format, instead of distilling
    pipeline: str | None = None
    label: int | None = None  # the class, where that pipeline is class-conditional
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    num_steps: int = 1  # network calls per image
    # to the ends of the teacher's ODE, or to itself
    objective: Literal["regression", "distillation"] = "regression"
    num_pairs: int = 8192  # of noise and image, for regression
    # noise levels of distillation, and steps of the teacher's ODE between calls of the student
    num_levels: int = 18
    channels: tuple[int, ...] = (16, 16)  # where the student is not a copy of its teacher's network
    layers_per_block: int = 0  # residual blocks per resolution; 0 leaves convolutions with stride
    num_iterations: int = 900  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 8e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # of the running average of the weights, which is kept
    target_decay: float = 0.95  # of the average that is distillation's target
    sigma_min: float = 0.002  # data units
    sigma_max: float = 20.0  # data units

    takes_teacher: ClassVar[bool] = True
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "channels": (4, 4),
        "num_iterations": 3,
        "num_pairs": 64,
    }

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Distil or open, and write `folder`/pipeline; the card says how far the map is from the teacher's ODE."""
        if self.pipeline is not None:
            pipeline = open_pipeline(self.pipeline, self.label, self.local_files_only)
        elif teacher is not None:
            pipeline = distil(teacher, data["train"], self)
        else:
            raise UserError("family consistency: expected a teacher or a pipeline")
        prior = self._prior(pipeline, teacher)
        write_pipeline(folder / "pipeline", pipeline)
        card: Json = {"num_parameters": networks.num_parameters(pipeline.unet)}
        if teacher is not None and Cap.DECODER in teacher.caps:
            card["rms_error_to_teacher"] = networks.decoders_apart(prior, teacher)
        return {}, card

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Consistency:
        """Return the prior in `folder`/pipeline, with its teacher's denoiser and density."""
        return self._prior(open_pipeline(folder / "pipeline", self.label), teacher)

    def _prior(self, pipeline: Pipeline, teacher: Prior | None) -> Consistency:
        if pipeline.kind != CONSISTENCY:
            raise UserError(
                f"{pipeline.kind}: expected a consistency model, with {CONSISTENCY}; family edm opens others"
            )
        return Consistency(ConsistencyMap(pipeline), self.num_steps, teacher)
