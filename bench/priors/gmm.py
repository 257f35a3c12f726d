"""`gmm`: a Gaussian mixture, whose denoiser, score, density, flow and linear-Gaussian posteriors are all exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.types import Prior
from bench.priors._gmm_fit import decoder_card, fit_gmm
from bench.priors._mixture import GMM

__all__ = ["GMMFamily"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class GMMFamily:
    """A mixture fitted by expectation maximisation, its covariances shrunk towards their pooled mean."""

    num_components: int = 20  # Gaussians in the mixture
    shrinkage: float = 30.0  # images' worth of the pooled covariance in each component's
    floor: float = 0.002  # variance added to every pixel, data units squared

    tiny: ClassVar[Mapping[str, object]] = {"num_components": 2}  # for tests

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return the mixture; the card has mean log densities in nats and errors of the decoder."""
        mixture = fit_gmm(data["train"], self.num_components, self.shrinkage, self.floor)
        parts = ("train", "validation", "test")
        log_prob = {part: mixture.log_prob(data[part].double()).mean().item() for part in parts}
        tensors = {
            "weights": mixture.weights,
            "means": mixture.means,
            "covariances": mixture.covariances,
        }
        return tensors, {"log_prob_nats": log_prob, "decoder": decoder_card(mixture)}

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> GMM:
        """Return the prior with the stored tensors."""
        return GMM(tensors["weights"], tensors["means"], tensors["covariances"])
