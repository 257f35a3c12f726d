"""`flow_matching`: a velocity network of torchcfm on straight paths, opened from its `.pt` file.

Lipman et al., Flow Matching for Generative Modeling, ICLR 2023, https://arxiv.org/abs/2210.02747, and Tong et al., TMLR
2024, https://arxiv.org/abs/2302.00482, the authors of torchcfm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.types import Cap, Prior
from bench.priors._foreign import (
    TINY,
    Scored,
    check_fields,
    chosen_architecture,
    fit_foreign,
    foreign_weights,
    setting_of,
)
from bench.priors.adapters.diffusers import open_pipeline
from bench.priors.adapters.flow_matching import SOLVERS, FlowMatching

__all__ = ["FlowMatchingFamily"]

INDEPENDENT, COUPLINGS = "independent", ("independent", "optimal_transport")


@dataclass(frozen=True, eq=False)
class StraightFlow(Scored):
    """A flow as a prior: its decoder follows the velocity; its denoiser is exact only for independent noise."""

    solver: str = "euler"
    coupling: str = INDEPENDENT

    @property
    def caps(self) -> Cap:  # pyright: ignore[reportIncompatibleVariableOverride] (a constant there)
        return Cap.DECODER | (Cap.DENOISER if self.coupling == INDEPENDENT else Cap.NONE)

    @property
    def decode_nfe(self) -> int:
        return SOLVERS[self.solver] * self.num_ode_steps

    def decode(self, z: Tensor) -> Tensor:
        """Follow the velocity from noise at t = 0 to an image at t = 1: (n, *z) -> (n, *x)."""
        flow = cast(FlowMatching, self.denoiser).flow
        return flow(z.float(), self.num_ode_steps, self.solver).to(z.dtype)


@dataclass(frozen=True)
class FlowMatchingFamily:
    """A velocity network; it gives E[x | x_t] exactly if noise and images were paired independently."""

    weights: str  # a name of `weights list`, a path, or `random`
    # a name or its fields; "": the one known for the name in `weights`
    architecture: str | dict[str, object] = ""
    width: float = 1.0  # share of the architecture's channels
    side: int | None = None  # pixels along an image; the architecture's by default
    sha256: str = ""  # expected hash of the file; "": not checked
    label: int | None = None  # class to draw, if the network is class-conditional
    entry: str = "ema_model"  # key of the weights in a file with more than one set
    # of noise and images in training: independent, or optimal_transport, without denoiser; "": known by the name
    coupling: str = ""
    clip_denoised: bool = False  # keep E[x | x_t] in [-1, 1]
    num_ode_steps: int = 45  # steps of the decoder's ODE, as many as in the ODS paper
    solver: str = "euler"  # or midpoint, which calls the network twice per step

    foreign: ClassVar[bool] = True  # trained by others: the card compares no draws with images
    tiny_shape: ClassVar[tuple[int, ...]] = (3, 8, 8)
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "weights": "random",
        "architecture": TINY | {"block_resampling": False, "scale_shift": False},
        "num_ode_steps": 2,
    }

    def __post_init__(self) -> None:
        check_fields(self, "num_ode_steps")
        if self.solver not in SOLVERS:
            raise ValueError(f"solver: expected {' or '.join(SOLVERS)}, got {self.solver!r}")
        if self.chosen_coupling not in COUPLINGS:
            raise ValueError(f"coupling: expected {' or '.join(COUPLINGS)}, got {self.coupling!r}")

    @property
    def chosen_coupling(self) -> str:
        return setting_of(self.weights, "coupling", self.coupling, INDEPENDENT)

    def fit(
        self, data: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> tuple[dict[str, Tensor], Json]:
        """Open the file, and write `folder`/pipeline; the card has source, hash and terms, and an examination."""
        prior, card = self.opened()
        return fit_foreign(cast(Prior, prior), prior.denoiser.pipeline, data, folder, card)

    def opened(self) -> tuple[StraightFlow, Json]:
        """Return the prior in the file, and the card of its weights."""
        architecture = chosen_architecture(self)
        tensors, card = foreign_weights(self, architecture, self.entry)
        flow = FlowMatching.opened(tensors, architecture, self.label, self.weights)
        return self.prior_of(flow), card

    def load(
        self, tensors: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> StraightFlow:
        """Return the prior in `folder`/pipeline."""
        return self.prior_of(FlowMatching(open_pipeline(folder / "pipeline", self.label)))

    def prior_of(self, flow: FlowMatching) -> StraightFlow:
        """Return a flow as a prior."""
        settings = (self.num_ode_steps, self.clip_denoised, self.solver, self.chosen_coupling)
        return StraightFlow(flow, *settings)
