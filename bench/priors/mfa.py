"""`mfa`: a mixture of factor analysers for images of thousands of pixels, whose linear posteriors are exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.types import Prior
from bench.core.values import is_count, is_positive, require
from bench.priors._card import write_picture
from bench.priors._mfa import MFA
from bench.priors._mfa_basis import Basis
from bench.priors._mfa_card import card_of
from bench.priors._mfa_fit import Settings, fit_mfa

__all__ = ["MFAFamily"]

Tensors = dict[str, Tensor]
LARGEST_MATRIX = 3072  # values of an image up to which the basis is stored as a matrix, too


@dataclass(frozen=True)
class MFAFamily:
    """A mixture fitted by expectation maximisation; the noise of its components is diagonal in cosines of colours.

    The file has `weights` (K), `means` (K, *x), `factors` (K, D, r), `psi` (K, D) and, up to 3072 values per image,
    `basis` (D, D): the covariance of a component is basis (factors factors^T + diag psi) basis^T. `colours` (c, c)
    define the same basis at any size.
    """

    num_components: int = 48  # factor analysers in the mixture
    rank: int = 32  # factors of each
    num_rounds: int = 6  # rounds of expectation maximisation
    num_updates: int = 2  # updates of factors and noise in each round
    shrinkage: float = 30.0  # images' worth of the mean noise in each component's
    floor: float = 2e-5  # smallest variance along an axis, data units squared
    num_ode_steps: int = 14  # steps of the decoder's ODE, Runge-Kutta of order 4

    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "num_components": 2,
        "rank": 3,
        "num_rounds": 2,
    }

    def __post_init__(self) -> None:
        for name in ("num_components", "rank", "num_rounds", "num_updates", "num_ode_steps"):
            value = getattr(self, name)
            require(is_count(value), f"mfa: {name} must be a positive integer, got {value!r}")
        require(is_positive(self.floor), f"mfa: floor must be positive, got {self.floor!r}")
        shrinks = self.shrinkage == 0 or is_positive(self.shrinkage)
        require(shrinks, f"mfa: shrinkage must be a number, 0 or more, got {self.shrinkage!r}")

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return the mixture and write samples.png; the card has bits per dimension, errors of denoiser and decoder.

        ValueError where there are fewer images than components.
        """
        num_images = len(data["train"])
        require(
            num_images >= self.num_components,
            f"mfa: num_components is {self.num_components}, there are {num_images} images for training",
        )
        settings = Settings(**{each.name: getattr(self, each.name) for each in fields(Settings)})
        prior = replace(fit_mfa(data["train"].float(), settings), num_ode_steps=self.num_ode_steps)
        tensors = {"weights": prior.weights, "colours": prior.basis.colours}
        tensors |= {name: getattr(prior, name).float() for name in ("means", "factors", "psi")}
        if prior.psi.shape[1] <= LARGEST_MATRIX:
            tensors["basis"] = prior.basis.matrix()
        write_picture(folder / "samples.png", prior)
        return tensors, card_of(prior, data)

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> MFA:
        """Return the prior with the stored tensors, all of the means' dtype."""
        weights, means, factors, psi = (
            tensors[name] for name in ("weights", "means", "factors", "psi")
        )
        basis = Basis(tuple(means.shape[1:]), tensors["colours"])
        prior = MFA(weights, means, factors, psi, basis, num_ode_steps=self.num_ode_steps)
        return prior.to(means)
