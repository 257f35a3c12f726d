"""`regression_map`: a map from noise to images in one or a few network calls, fitted to the ends of a teacher's ODE.

Luhman and Luhman, Knowledge Distillation in Iterative Generative Models, 2021. https://arxiv.org/abs/2101.02388
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
from bench.priors._consistency import Consistency, fit_map, load_map
from bench.priors._distil import new_student, regression, trained

__all__ = ["RegressionMap"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class RegressionMap:
    """A network fitted by least squares to pairs of noise and the image to which the teacher's ODE takes it.

    It is used like a consistency model (family `consistency`), but it is trained only at the noise levels at which it
    is used, and not to agree with itself along the ODE.
    """

    num_steps: int = 1  # network calls per image
    num_pairs: int = 8192  # pairs of noise and image
    num_levels: int = 18  # steps of the teacher's ODE between two calls, with num_steps above 1
    channels: tuple[int, ...] = (
        16,
        16,
    )  # used if the student is not a copy of its teacher's network
    layers_per_block: int = 0  # residual blocks per resolution; 0: strided convolutions only
    num_iterations: int = 900  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 8e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # decay of the running average of the weights, which is the result
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
        """Fit, and write `folder`/pipeline; the card has the error to the teacher's ODE."""
        needed = Cap.DECODER | Cap.DENOISER
        if teacher is None or needed & ~teacher.caps:
            got = "none" if teacher is None else f"one with {teacher.caps}"
            raise UserError(f"family regression_map: expected a teacher with {needed}, got {got}")
        student, rng = new_student(teacher, data["train"], self)
        loss = regression(student, teacher, self, rng)
        return fit_map(trained(student, loss, self), self.num_steps, teacher, folder)

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Consistency:
        """Return the prior in `folder`/pipeline, with its teacher's denoiser and density."""
        return load_map(folder, self.num_steps, teacher)
