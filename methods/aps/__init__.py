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
- `prior_term = "density"` replaces the bound by the exact -log p(x) of a prior that has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.core.types import NFE, Cap, Choice, LogUniform, Prior, Problem, Random, Search, State
from bench.numerics.nets import initialise

from .flows import ZERO_ENDS, bounded, make_flow

__all__ = ["APS"]

POSITIVE = ("width", "num_channels", "num_simulated", "num_iterations", "batch_size", "learning_rate", "num_noises")
MAX_GRADIENT = 50.0  # norm
RIDGE = 0.01  # in measurements
SMALLEST_VARIANCE = 1e-6  # of the base


@dataclass(frozen=True)
class APS:
    """A conditional flow from noise and measurement to image, trained once for all measurements of a problem.

    Meant for images of up to about a thousand pixels: the regression holds a matrix of pixels x pixels.

    A sample costs no row through the prior's network; training does.
    """

    needs: ClassVar[Cap] = Cap.DENOISER | Cap.GRAD | Cap.SIMULATE
    uses: ClassVar[Cap] = Cap.DENSITY  # only if prior_term is "density"
    search: ClassVar[Search] = {
        "learning_rate": LogUniform(3e-4, 1e-2),
        "warm_start": Choice((0.0, 0.5)),
        "sigma_min": LogUniform(0.01, 0.1),
    }
    tiny: ClassVar[dict[str, int]] = {"num_layers": 2, "width": 32, "num_iterations": 40, "num_simulated": 512}

    num_layers: int = 6  # couplings
    width: int = 128  # of the hidden layers of each coupling and of the network that reads y
    num_channels: int = 8  # of the convolutions of each coupling, for images of more than 8 pixels per side
    base: Literal["regression", "identity"] = "regression"
    num_simulated: int = 8192  # prior draws; each iteration measures some of them anew
    num_iterations: int = 1400
    warm_start: float = 0.5
    batch_size: int = 128  # measurements, with one sample each
    learning_rate: float = 2e-3  # at its highest; rises over 5 % of each phase, then falls to zero as a cosine
    prior_term: Literal["elbo", "density"] = "elbo"
    weighting_power: float = 0.0  # noise levels are weighted by sigma^power; only 0 gives the bound
    through_denoiser: bool = True  # False leaves out the denoiser's Jacobian, as score distillation does
    num_noises: int = 1  # draws of noise and noise level per sample in the bound
    sigma_min: float = 0.03
    sigma_max: float = 10.0
    anneal_from: float = 1.0  # sigma_min at the start of the reverse-KL phase
    anneal: float = 0.3  # share of that phase over which it falls geometrically

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        for name, known in (("prior_term", ("elbo", "density")), ("base", ("regression", "identity"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected one of {', '.join(known)}")
        if not (0 <= self.warm_start <= 1 and 0 <= self.anneal <= 1):
            raise ValueError(f"warm_start = {self.warm_start}, anneal = {self.anneal}: expected shares in [0, 1]")
        if not 0 < self.sigma_min <= self.anneal_from < self.sigma_max:
            raise ValueError(f"expected 0 < sigma_min <= anneal_from < sigma_max, got {self}")
        if self.num_layers < 0:
            raise ValueError(f"num_layers = {self.num_layers}: expected a number >= 0")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(0, 0)

    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> State:
        if self.prior_term == "density" and Cap.DENSITY not in prior.caps:
            raise ValueError("prior_term 'density' needs a prior with Cap.DENSITY; take 'elbo'")
        with torch.no_grad():
            x = prior.sample(self.num_simulated, rng)[0]
            y = problem.simulate(x, rng)
        generator = self._generator(prior, y)
        initialise(generator, rng, zero=generator.ends).fit_base(x, y, self.base)

        def simulated() -> tuple[Tensor, Tensor]:
            some = x[rng.randint(len(x), (self.batch_size,))[0]]
            return some, problem.simulate(some, rng)

        def forward_kl(progress: float) -> Tensor:
            return -generator.log_prob(*simulated()).mean()

        def reverse_kl(progress: float) -> Tensor:
            y = simulated()[1]
            x, log_q = generator(rng.randn((len(y), *prior.shape))[0], y)
            return (self._prior_term(prior, x, progress, rng) - problem.log_likelihood(x, y) + log_q).mean()

        num_warm = round(self.warm_start * self.num_iterations)
        self._minimise(forward_kl, generator, num_warm)
        self._minimise(reverse_kl, generator, self.num_iterations - num_warm)
        return generator.state_dict()

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random, state: State
    ) -> Tensor:
        generator = self._generator(prior, y, state)
        z = rng.per_sample.randn(prior.shape).flatten(0, 1)
        return generator(z, y.repeat_interleave(num_samples, 0))[0].unflatten(0, (len(y), num_samples))

    def _generator(self, prior: Prior, y: Tensor, state: State | None = None) -> Generator:
        with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when they are made
            generator = Generator(self, prior.shape, y[0].numel()).to(y.device)
        if state is not None:
            generator.load_state_dict(state)
        return generator

    def _minimise(self, loss_at: Callable[[float], Tensor], generator: Generator, num_iterations: int) -> None:
        """By Adam; `loss_at` gets the share of the iterations that are done."""
        optimiser = torch.optim.Adam(generator.parameters(), lr=self.learning_rate, betas=(0.9, 0.99), fused=True)
        for i in range(num_iterations):
            progress = i / num_iterations
            rate = self.learning_rate * min(1, (progress + 1 / num_iterations) / 0.05)
            optimiser.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * progress)) / 2
            optimiser.zero_grad()
            loss_at(progress).backward()
            nn.utils.clip_grad_norm_(generator.parameters(), MAX_GRADIENT)
            optimiser.step()

    def _prior_term(self, prior: Prior, x: Tensor, progress: float, rng: Random) -> Tensor:
        """-log p(x), or a random value whose mean bounds it from above up to a constant, (n,)."""
        if self.prior_term == "density":
            return -prior.log_prob(x)
        sigma_min, sigma_max = max(self.sigma_min, prior.sigma_range[0]), min(self.sigma_max, prior.sigma_range[1])
        if progress < self.anneal:
            sigma_min *= max(1.0, self.anneal_from / sigma_min) ** (1 - progress / self.anneal)
        return self._bound(prior, x, sigma_min, sigma_max, rng)

    def _bound(self, prior: Prior, x: Tensor, sigma_min: float, sigma_max: float, rng: Random) -> Tensor:
        """The integral of `misfit` over log sigma by `num_noises` random noises per row of x (n, *x), (n,)."""
        n = self.num_noises * len(x)
        x = x.repeat(self.num_noises, *[1] * len(prior.shape))
        stratified = (torch.arange(n, device=x.device) + rng.rand((n,))[0]) / n
        sigma = sigma_min * (sigma_max / sigma_min) ** stratified
        values = misfit(prior, x, sigma, rng.randn(tuple(x.shape))[0], self.through_denoiser)
        weight = sigma**self.weighting_power
        return math.log(sigma_max / sigma_min) * (weight / weight.mean() * values).view(self.num_noises, -1).mean(0)


def misfit(prior: Prior, x: Tensor, sigma: Tensor, noise: Tensor, through_denoiser: bool = True) -> Tensor:
    """||x - D(x + sigma noise, sigma)||^2 / sigma^2, (n,); its integral over log sigma bounds -log p(x).

    Let p_s be the density of x + s eps. As D - x_t = s^2 score, the heat equation and Stein's identity (I-MMSE) give
    d E log p_s(x + s eps) / d log s = E misfit - dim for the exact denoiser. From the smallest s to the largest, L,

        -E log p_min(x + s_min eps) = integral of E misfit d log s - dim log(L / s_min) - E log p_L(x + L eps),

    an upper bound for a learned denoiser. At large L the last term is dim / 2 log(2 pi e L^2) plus a small
    ||x - mean||^2 / (2 L^2), left out: -log p is the integral + dim / 2 log(2 pi e s_min^2).
    """
    column = sigma.view(-1, *[1] * (x.dim() - 1))
    with torch.set_grad_enabled(through_denoiser and torch.is_grad_enabled()):
        denoised = prior.denoise(x + column * noise, sigma)
    return ((x - denoised) / column).square().flatten(1).sum(1)


class Generator(nn.Module):
    """x = G(z; y) = centre + features(y) gain + (scale(y) F(z; y) + shift(y)) root, all rows; float32 inside."""

    def __init__(self, method: APS, shape: tuple[int, ...], y_size: int) -> None:
        super().__init__()
        size, width = math.prod(shape), method.width
        self.read = nn.Sequential(nn.Linear(y_size, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.flow = make_flow(shape, width, method.num_layers, width, method.num_channels)
        self.adjust = nn.Linear(width, 2 * size)
        self.register_buffer("y_mean", torch.zeros(y_size))
        self.register_buffer("y_scale", torch.ones(y_size))
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("gain", torch.zeros(y_size, size))
        self.register_buffer("root", torch.eye(size))

    @property
    def ends(self) -> list[str]:
        """The layers that start at zero, so that training starts from the base."""
        return [name for name, _ in self.named_modules() if name.endswith(ZERO_ENDS) or name == "adjust"]

    @torch.no_grad()
    def fit_base(self, x: Tensor, y: Tensor, base: str) -> None:
        """Ridge regression of x (n, *x) on y (n, *y), and the symmetric root of its residual covariance."""
        x, y = x.flatten(1).double(), y.flatten(1).double()
        scale = y.std(0)
        self.y_mean.copy_(y.mean(0))
        self.y_scale.copy_(torch.where(scale > 1e-6, scale, 1.0))  # what never varies says nothing
        if base == "identity":
            return
        features = (y - self.y_mean) / self.y_scale
        gram = features.T @ features + RIDGE * torch.eye(features.shape[1]).to(x)
        gain = torch.linalg.solve(gram, features.T @ (x - x.mean(0)))
        variances, axes = torch.linalg.eigh(torch.cov((x - features @ gain).T))
        self.centre.copy_(x.mean(0))
        self.gain.copy_(gain)
        self.root.copy_((axes * variances.clamp_min(SMALLEST_VARIANCE).sqrt()) @ axes.T)

    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """z (n, *x), y (n, *y) -> x (n, *x), log q(x | y) (n,)."""
        context, mean, shift, log_scale = self._read(y)
        u, log_det = self.flow(z.float(), context)
        x = mean + (u.flatten(1) * log_scale.exp() + shift) @ self.root
        log_q = standard_log_normal(z) - log_det - log_scale.sum(1) - torch.linalg.slogdet(self.root)[1]
        return x.view_as(z).to(y.dtype), log_q.to(y.dtype)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """log q(x | y), x (n, *x), y (n, *y) -> (n,)."""
        context, mean, shift, log_scale = self._read(y)
        white = torch.linalg.solve(self.root, (x.flatten(1).float() - mean).T).T
        z, log_det = self.flow.inverse(((white - shift) * (-log_scale).exp()).view_as(x), context)
        log_q = standard_log_normal(z) + log_det - log_scale.sum(1) - torch.linalg.slogdet(self.root)[1]
        return log_q.to(y.dtype)

    def _read(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the flow gets to know of y, (n, width); the regression of x on y, and what is added to it, (n, D)."""
        features = (y.flatten(1).float() - self.y_mean) / self.y_scale
        context = self.read(features)
        shift, log_scale = self.adjust(context).chunk(2, 1)
        return context, self.centre + features @ self.gain, shift, bounded(log_scale)


def standard_log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), (n, ...) -> (n,)."""
    return -(z.flatten(1).square() + math.log(2 * math.pi)).sum(1) / 2
