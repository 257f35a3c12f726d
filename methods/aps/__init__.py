"""APS: amortised posterior sampling with a diffusion prior. Mammadov, Chung and Ye, 2024.

https://arxiv.org/abs/2407.17907

x = G(z; y), z ~ N(0, I), with G invertible in z and q(x | y) its density, minimises the reverse KL divergence

    E_y E_z [ -log p(y | x) + bound(x) + log q(x | y) ],    x = G(z; y),

where bound(x) >= -log p(x) is the denoising bound of Song et al. 2021 (https://arxiv.org/abs/2101.09258). One
evaluation of G gives a sample, for any measurement.

Deviations:
- Measurements are simulated from prior draws; the paper trains on the measurements at hand.
- The flow refines the linear regression of x on y: its mean, and the symmetric root of its residual covariance, which
  keeps images images. `base = "identity"` is a plain flow.
- Couplings keep the image's layout; the paper flattens it.
- A share `warm_start` of the iterations minimises the forward KL divergence on simulated pairs (x, y) first (neural
  posterior estimation); `warm_start = 0` is the paper's.
- The smallest noise level of the bound is annealed, so that the prior is smooth at first; `anneal = 0` is the paper's.
  Noise levels are stratified over the batch.
- Images of more than 1024 numbers have a flow in wavelets whose couplings are convolutions (`network`).
- `prior_term = "density"` replaces the bound by the exact -log p(x) of a prior that has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, State
from bench.numerics.chunks import rows_of
from bench.numerics.nets import initialise
from bench.numerics.training import Descent, minimise

from .bound import bound
from .flows import is_image
from .generator import Generator
from .multiscale import MultiscaleGenerator

__all__ = ["APS"]

POSITIVE = (
    "width",
    "num_channels",
    "num_simulated",
    "num_iterations",
    "batch_size",
    "learning_rate",
    "num_noises",
    "conv_channels",
)
DENSE_SIZE = 1024  # numbers in the largest images that `auto` gives the dense network
MAX_GRADIENT = 50.0  # norm


@dataclass(frozen=True)
class APS:
    """A conditional flow from noise and measurement to image, trained once for all measurements of a problem.

    The dense network holds matrices of the image's numbers squared; cost and memory of the convolutional one grow in
    proportion to the pixels.

    A sample costs no row through the prior's network; training does: a row forward and one back for each sample in each
    iteration after the warm start.

    Not exact: the flow is as near to the posterior as its family and the denoising bound allow.
    """

    needs: ClassVar[Cap] = Cap.DENOISER | Cap.GRAD | Cap.SIMULATE
    uses: ClassVar[Cap] = Cap.DENSITY  # only if prior_term is "density"
    kind: ClassVar[Kind] = "amortised"
    search: ClassVar[Search] = {
        "learning_rate": LogUniform(3e-4, 1e-2),
        "sigma_min": LogUniform(0.01, 0.1),
    }
    tiny: ClassVar[dict[str, int]] = {
        "num_layers": 2,
        "width": 32,
        "num_iterations": 40,
        "num_simulated": 512,
    }

    # dense: one flow over all numbers; convolutional: the image at 8 pixels a side (of small ones a half) by a dense
    # flow, its details by convolutions; auto: dense for up to 1024 numbers, and for whatever is no image
    network: Literal["auto", "dense", "convolutional"] = "auto"
    num_layers: int = 6  # couplings of the dense flow
    width: int = 128  # of the hidden layers of each coupling and of the network that reads y
    # of the convolutions of each coupling, for images of more than 8 pixels per side
    num_channels: int = 8
    conv_channels: int = 32  # of the convolutional network, at each size
    conv_layers: int = 2  # its couplings at each size
    base: Literal["regression", "identity"] = "regression"
    num_simulated: int = 8192  # prior draws; each iteration measures some of them anew
    num_iterations: int = 1000
    warm_start: float = 0.5
    batch_size: int = 128  # measurements, with one sample each
    # at its highest; rises over 5 % of each phase, then falls to zero as a cosine
    learning_rate: float = 2e-3
    prior_term: Literal["elbo", "density"] = "elbo"
    weighting_power: float = 0.0  # noise levels are weighted by sigma^power; only 0 gives the bound
    # False leaves out the denoiser's Jacobian, as score distillation does
    through_denoiser: bool = True
    num_noises: int = 1  # draws of noise and noise level per sample in the bound
    sigma_min: float = 0.03
    sigma_max: float = 10.0
    anneal_from: float = 1.0  # sigma_min at the start of the reverse-KL phase
    anneal: float = 0.3  # share of that phase over which it falls geometrically

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        for name, known in (
            ("prior_term", ("elbo", "density")),
            ("base", ("regression", "identity")),
            ("network", ("auto", "dense", "convolutional")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: expected one of {', '.join(known)}"
                )
        if not (0 <= self.warm_start <= 1 and 0 <= self.anneal <= 1):
            raise ValueError(
                f"warm_start = {self.warm_start}, anneal = {self.anneal}: expected shares in [0, 1]"
            )
        if not 0 < self.sigma_min <= self.anneal_from < self.sigma_max:
            raise ValueError(f"expected 0 < sigma_min <= anneal_from < sigma_max, got {self}")
        for name in ("num_layers", "conv_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(0, 0)

    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> State:
        if self.prior_term == "density" and Cap.DENSITY not in prior.caps:
            raise ValueError("prior_term 'density' needs a prior with Cap.DENSITY; take 'elbo'")
        with torch.no_grad():
            # draws of large images are made in parts, to bound the memory
            at_once = rows_of(prior.shape) if self.is_convolutional(prior.shape) else None
            x = drawn(prior, self.num_simulated, at_once or self.num_simulated, rng)
            y = problem.simulate(x, rng)
        generator = self._generator(prior, problem, y)
        initialise(generator, rng, zero=generator.ends).fit_base(x, y, self.base)
        self._fit(generator, prior, problem, x, rng)
        return generator.state_dict()

    def _fit(
        self,
        generator: Generator | MultiscaleGenerator,
        prior: Prior,
        problem: Problem,
        x: Tensor,
        rng: Random,
    ) -> None:
        """Minimise the forward KL divergence on pairs (x, y) simulated from draws x (n, *x), then the reverse one."""

        def simulated() -> tuple[Tensor, Tensor]:
            some = x[rng.randint(len(x), (self.batch_size,))[0]]
            return some, problem.simulate(some, rng)

        def reverse_kl(progress: float) -> Tensor:
            y = simulated()[1]
            made, log_q = generator(rng.randn((len(y), *prior.shape))[0], y)
            return (
                self._prior_term(prior, made, progress, rng)
                - problem.log_likelihood(made, y)
                + log_q
            ).mean()

        num_warm = round(self.warm_start * self.num_iterations)
        self._minimise(lambda _: -generator.log_prob(*simulated()).mean(), generator, num_warm)
        self._minimise(reverse_kl, generator, self.num_iterations - num_warm)

    @torch.no_grad()
    def sample(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_samples: int,
        *,
        rng: Random,
        state: State,
    ) -> Tensor:
        generator = self._generator(prior, problem, y, state)
        z = rng.per_sample.randn(prior.shape).flatten(0, 1)
        return generator(z, y.repeat_interleave(num_samples, 0))[0].unflatten(
            0, (len(y), num_samples)
        )

    def is_convolutional(self, shape: tuple[int, ...]) -> bool:
        """Return which network images of a shape have; ValueError for a convolutional one on what is no image."""
        if self.network == "convolutional" and not is_image(shape):
            raise ValueError(
                f"network = 'convolutional': expected images (c, h, w), got shape {shape}; take 'auto'"
            )
        large = is_image(shape) and math.prod(shape) > DENSE_SIZE
        return self.network == "convolutional" or (self.network == "auto" and large)

    def _generator(
        self, prior: Prior, problem: Problem, y: Tensor, state: State | None = None
    ) -> Generator | MultiscaleGenerator:
        """Return the flow for measurements like y (n, *y), to be initialised, or with the tensors of a state."""
        # layers draw from the global generator when they are made
        with torch.random.fork_rng(devices=[]):
            sizes = self.width, self.num_layers, self.num_channels
            if self.is_convolutional(prior.shape):
                convolutions = self.conv_channels, self.conv_layers
                generator = MultiscaleGenerator(prior.shape, problem, y, sizes, *convolutions)
            else:
                generator = Generator(prior.shape, y[0].numel(), *sizes)
            generator = generator.to(y.device)
        if state is not None:
            generator.load_state_dict(state)
        return generator

    def _minimise(
        self, loss_at: Callable[[float], Tensor], generator: torch.nn.Module, num_iterations: int
    ) -> None:
        """Descend by Adam; `loss_at` gets the share of the iterations that are done."""

        def rate(progress: float) -> float:
            warm_up = min(1, (progress + 1 / num_iterations) / 0.05)
            return self.learning_rate * warm_up * (1 + math.cos(math.pi * progress)) / 2

        optimiser = torch.optim.Adam(generator.parameters(), betas=(0.9, 0.99), fused=True)
        descent = Descent(optimiser, num_iterations, rate, MAX_GRADIENT)
        minimise(lambda i: loss_at(i / num_iterations), descent)

    def _prior_term(self, prior: Prior, x: Tensor, progress: float, rng: Random) -> Tensor:
        """Return -log p(x), or a random value whose mean bounds it from above up to a constant, (n,)."""
        if self.prior_term == "density":
            return -prior.log_prob(x)
        sigma_min = max(self.sigma_min, prior.sigma_range[0])
        sigma_max = min(self.sigma_max, prior.sigma_range[1])
        if progress < self.anneal:
            sigma_min *= max(1.0, self.anneal_from / sigma_min) ** (1 - progress / self.anneal)
        return bound(
            prior,
            x,
            (sigma_min, sigma_max),
            rng,
            self.num_noises,
            self.weighting_power,
            self.through_denoiser,
        )


def drawn(prior: Prior, num_draws: int, at_once: int, rng: Random) -> Tensor:
    """Draw images (num_draws, *x) of the prior, from an rng of one stream, `at_once` in one call."""
    numbers = [min(at_once, num_draws - start) for start in range(0, num_draws, at_once)]
    return torch.cat([prior.sample(number, rng)[0] for number in numbers])
