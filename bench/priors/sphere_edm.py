"""`sphere_edm`: a diffusion model of signals on an icosphere, with a network of Laplace-Beltrami coefficients.

The preconditioning is that of Karras et al. 2022, https://arxiv.org/abs/2206.00364, with a separate scale for each
eigenfunction. Elhag et al. 2023, Manifold Diffusion Fields, https://arxiv.org/abs/2305.15586, use such functions as
features of places; here they are the axes in which the network gets a signal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap, Prior, Random
from bench.core.values import is_count, is_positive, require
from bench.numerics import training
from bench.numerics.diffusion import karras_sigmas
from bench.numerics.icosphere import icosphere, is_sphere
from bench.numerics.nets import MLP, flatten_state
from bench.priors import _networks as networks
from bench.priors._draws import draws_of
from bench.priors._learned_card import learned_card
from bench.runtime.progress import progress

__all__ = ["SphereEDMFamily"]

Tensors = dict[str, Tensor]
LOWEST_SCALE = 1e-3  # data units


@dataclass(frozen=True, eq=False)
class SphereDiffusion:
    """A denoiser with a network in k smooth directions, and linear in all others; it computes in float32.

    Coordinates u = basis^T (x_t - mean), of variances s^2, are denoised as
    s^2 / (s^2 + sigma^2) u + s sigma / sqrt(s^2 + sigma^2) network(u / sqrt(s^2 + sigma^2), log sigma), and the part of
    x_t - mean outside the basis is multiplied by rest^2 / (rest^2 + sigma^2).

    mean (c, V, 1), basis (c V, k) orthonormal, scales s (k,) and rest () in data units.
    """

    network: nn.Module
    mean: Tensor
    basis: Tensor
    scales: Tensor
    rest: Tensor
    sigma_range: tuple[float, float]
    num_ode_steps: int
    teacher: Prior | None = None  # the prior whose draws were learned, if any

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def decode_nfe(self) -> int:
        return 2 * self.num_ode_steps - 1

    @property
    def sample_nfe(self) -> int:
        return self.decode_nfe

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        levels = torch.as_tensor(sigma, dtype=torch.float32, device=x_t.device).expand(len(x_t))
        return self._denoise(x_t.float(), levels).to(x_t.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """Follow the probability-flow ODE from z at sigma_max down to sigma = 0, by Heun's method: (n, *z) -> (n, *x).

        In the state v = u / sqrt(s^2 + sigma^2) and the angle a = arctan(sigma / s), one for each coordinate, the ODE
        is dv / da = -network(v, log sigma). For a Gaussian with these axes v is constant, so that steps have no error.
        """
        sigmas = karras_sigmas(self.num_ode_steps, *self.sigma_range, torch.float32).to(z.device)
        angles, times = torch.atan2(sigmas[:, None], self.scales), self._time(sigmas)
        flat = z.float().flatten(1)
        state = start = flat @ self.basis
        for i, turn in enumerate(angles[:-1] - angles[1:]):
            slope = self.network(state, times[i].expand(len(z)))
            moved = state + turn * slope
            if i < self.num_ode_steps - 1:  # the last step is Euler's
                slope = (slope + self.network(moved, times[i + 1].expand(len(z)))) / 2
                moved = state + turn * slope
            state = moved
        others = self.rest * (flat - start @ self.basis.T)
        x = self.mean + ((self.scales * state) @ self.basis.T + others).view_as(z)
        return x.to(z.dtype)

    def _denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        centred = (x_t - self.mean).flatten(1)
        variance = sigma.square()[:, None]
        coordinates = centred @ self.basis
        others = centred - coordinates @ self.basis.T
        total = (self.scales.square() + variance).sqrt()
        output = self.network(coordinates / total, self._time(sigma))
        share = (self.scales / total).square()
        denoised = share * coordinates + self.scales * sigma[:, None] / total * output
        of_others = self.rest.square() / (self.rest.square() + variance) * others
        return self.mean + (denoised @ self.basis.T + of_others).view_as(x_t)

    def _time(self, sigma: Tensor) -> Tensor:
        """Return the place of noise levels in their range, on a logarithmic scale from 0 to 1, (n,)."""
        low, high = self.sigma_range
        return (sigma.clamp(low, high) / low).log() / math.log(high / low)


@dataclass(frozen=True)
class SphereEDMFamily:
    """A residual perceptron of coefficients and noise level, trained by score matching.

    The basis spans the smooth eigenfunctions of the cotangent Laplacian and is orthonormal over the vertices, so that
    white noise stays white. With a teacher, it learns that prior's draws, and the card has the error of the score to
    the teacher's.
    """

    num_functions: int = 256  # eigenfunctions that the network sees: all of degrees below 16
    width: int = 256  # units of a hidden layer
    num_layers: int = 3  # hidden layers
    num_ode_steps: int = 10  # steps of the decoder's ODE, by Heun's method
    num_draws: int = 20_000  # draws of the teacher, if there is one, as training signals
    num_iterations: int = 3000  # steps of training
    batch_size: int = 128  # signals in a step
    learning_rate: float = 2e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # decay of the running average of the weights, which is the result
    mean_log_sigma: float = -0.7  # of the noise levels in training, normal in the logarithm
    std_log_sigma: float = 1.4  # of the same logarithms
    sigma_min: float = 0.002  # data units
    sigma_max: float = 20.0  # data units

    takes_teacher: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = False
    tiny_shape: ClassVar[tuple[int, ...]] = (1, 42, 1)  # of the signals, for tests
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "num_functions": 9,
        "width": 8,
        "num_iterations": 3,
        "num_ode_steps": 2,
        "num_draws": 64,
    }

    def __post_init__(self) -> None:
        for name in ("num_functions", "width", "num_layers", "num_ode_steps"):
            value = getattr(self, name)
            require(is_count(value), f"sphere_edm: {name} must be a count, got {value!r}")
        in_order = is_positive(self.sigma_min) and self.sigma_min < self.sigma_max
        require(in_order, "sphere_edm: expected 0 < sigma_min < sigma_max")

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Train; the card has errors of denoiser and decoder. Raises UserError for signals not on an icosphere."""
        signals = data if teacher is None else draws_of(teacher, self.num_draws)
        x = signals["train"].float()
        shape = tuple(x.shape[1:])
        if not is_sphere(shape) or shape[0] != 1 or self.num_functions >= shape[1]:
            raise UserError(
                f"sphere_edm: expected signals (1, vertices, 1) on an icosphere of more than num_functions = "
                f"{self.num_functions} vertices, got {shape}"
            )
        mean, basis = x.mean(0), smooth_basis(shape[1], self.num_functions)
        centred = (x - mean).flatten(1)
        coordinates = centred @ basis
        num_others = shape[1] - self.num_functions
        others = centred.square().sum() - coordinates.square().sum()
        tensors = {
            "mean": mean,
            "basis": basis,
            "scales": coordinates.square().mean(0).sqrt().clamp_min(LOWEST_SCALE),
            "rest": (others / (len(x) * num_others)).clamp_min(LOWEST_SCALE**2).sqrt(),
        }
        network = self._train(tensors, x)
        tensors |= flatten_state(network, "network")
        prior = self.load(tensors, folder, None)
        fine = self._prior(prior.network, tensors, 4 * self.num_ode_steps)
        return tensors, {
            "num_parameters": networks.num_parameters(network),
            "share_of_variance_in_basis": (1 - others / centred.square().sum()).item(),
            "rms_error_against_fine_integrator": networks.decoders_apart(prior, fine, 64),
            **learned_card(prior, signals, teacher, num_for_bits=0),
        }

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> SphereDiffusion:
        """Return the prior with the stored tensors."""
        size = tensors["basis"].shape[1]
        network = networks.restored(lambda: self._network(size), tensors, "network")
        return self._prior(network, tensors, self.num_ode_steps, teacher)

    def _prior(
        self, network: nn.Module, tensors: Tensors, num_ode_steps: int, teacher: Prior | None = None
    ) -> SphereDiffusion:
        parts = (tensors[name].float() for name in ("mean", "basis", "scales", "rest"))
        limits = (self.sigma_min, self.sigma_max)
        return SphereDiffusion(network, *parts, limits, num_ode_steps, teacher)

    def _network(self, size: int) -> MLP:
        return MLP(size, size, self.width, self.num_layers)

    def _train(self, tensors: Tensors, x: Tensor) -> nn.Module:
        """Minimise the denoiser's squared error in each coordinate, divided by the squared factor of the network."""
        rng = Rng(("fit", "sphere_edm"), (0,), dtype=torch.float32)
        size = tensors["basis"].shape[1]
        network = networks.new(lambda: self._network(size), rng, zero=("out",))
        prior = self._prior(network, tensors, self.num_ode_steps)
        coordinates = (x - prior.mean).flatten(1) @ prior.basis

        def loss(_: int) -> Tensor:
            u = networks.batch(coordinates, self.batch_size, rng)
            log_sigma = self.mean_log_sigma + self.std_log_sigma * rng.randn((len(u),))[0]
            sigma = log_sigma.exp()[:, None]
            total = (prior.scales.square() + sigma.square()).sqrt()
            noise = rng.randn(tuple(u.shape))[0]
            output = network((u + sigma * noise) / total, prior._time(sigma[:, 0]))
            # the output with which the denoised coordinate is u
            target = (sigma * u - prior.scales.square() * noise) / (prior.scales * total)
            return (output - target).square().mean()

        steps = (self.num_iterations, self.learning_rate, self.ema_decay)
        descent = networks.Descent(network, *steps)
        training.minimise(loss, descent, partial(progress, what="train sphere_edm"))
        return descent.average


def smooth_basis(num_vertices: int, num_functions: int) -> Tensor:
    """Return an orthonormal basis of the span of the smoothest eigenfunctions, in their order, (V, k) float32."""
    functions = icosphere(num_vertices).eigenfunctions(num_functions)[1]
    return torch.linalg.qr(torch.from_numpy(functions)).Q.float()
