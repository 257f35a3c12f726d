"""`climate`: the distribution of the fields of data set `sphere` with content `climate`, a mixture in closed form."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Prior, Random
from bench.numerics.climate import SEASONS, covariances, means
from bench.numerics.icosphere import is_sphere
from bench.priors._mixture import GMM

__all__ = ["ClimateFamily"]

Tensors = dict[str, Tensor]
MOST_VERTICES = (
    642  # with 2562, four covariances and the posteriors' matrices would take tens of gigabytes
)


@dataclass(frozen=True, eq=False)
class Climate(GMM):
    """The mixture; it draws component by component, since a covariance for each draw would not fit into memory."""

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`."""
        uniform = rng.rand((num_samples,))
        last = len(self.weights) - 1
        season = torch.searchsorted(self.weights.cumsum(0), uniform).clamp_max(last)
        noise = rng.randn((num_samples, *self.shape)).flatten(2)
        x = torch.empty_like(noise)
        for k, (mean, root) in enumerate(zip(self._flat_means, self._cholesky, strict=True)):
            x[season == k] = mean + noise[season == k] @ root.T
        return x.unflatten(2, self.shape)


@dataclass(frozen=True)
class ClimateFamily:
    """Four seasons, each a Gaussian random field on the sphere; nothing is fitted to the data.

    Denoiser, density, decoder and the posteriors of linear operators are exact, as those of `gmm` are. Its draws
    sometimes leave [-1, 1], which the fields of the data set never do.
    """

    num_ode_steps: int = 7  # steps of the decoder's ODE, Runge-Kutta of order 4

    tiny_shape: ClassVar[tuple[int, ...]] = (1, 42, 1)  # of the signals, for tests

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return the mixture; the card has mean log densities in nats and the error of the decoder.

        Raises UserError for signals that are not on an icosphere of at most 642 vertices.
        """
        shape = tuple(data["train"].shape[1:])
        if not is_sphere(shape) or shape[0] != 1 or shape[1] > MOST_VERTICES:
            raise UserError(
                f"climate: expected signals (1, vertices, 1) of data set sphere with at most {MOST_VERTICES} "
                f"vertices, got {shape}"
            )
        num_vertices = shape[1]
        tensors = {
            "weights": torch.full((len(SEASONS),), 1 / len(SEASONS), dtype=torch.float64),
            "means": torch.from_numpy(means(num_vertices))[:, None, :, None],
            "covariances": torch.from_numpy(covariances(num_vertices)),
        }
        mixture = self.load(tensors, folder, None)
        log_prob = {
            part: mixture.log_prob(data[part].double()).mean().item()
            for part in ("train", "validation", "test")
        }
        return tensors, {"log_prob_nats": log_prob, "decoder": decoder_card(mixture)}

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Climate:
        """Return the prior with the stored tensors."""
        parts = (tensors[name] for name in ("weights", "means", "covariances"))
        return Climate(*parts, num_ode_steps=self.num_ode_steps)


def decoder_card(mixture: GMM, num_rows: int = 64) -> dict[str, float]:
    """Return the decoder's error against twice the steps of its ODE, root mean square over vertices."""
    z = Rng(("decoder card",), (0,)).randn((num_rows, *mixture.latent_shape))[0]
    fine = dataclasses.replace(mixture, num_ode_steps=2 * mixture.num_ode_steps)
    error = (mixture.decode(z) - fine.decode(z)).square().mean().sqrt().item()
    return {"evaluations": mixture.decode_nfe, "rms_error_against_fine_integrator": error}
