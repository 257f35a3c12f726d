"""Outsourced diffusion sampling. Venkatraman et al., ICML 2025, Algorithm 1.

https://arxiv.org/abs/2502.06999

A diffusion sampler in the noise space of a decoder x = f(z), trained by trajectory balance to draw from the density
proportional to N(z; 0, I) exp(log_likelihood(f(z), y)); `diagnose` gives log Z, its lower bound and the ESS.

Deviations:
- With `drift = "langevin"` the network corrects the steps that are right for a normal approximation of the posterior,
  made from the likelihood's gradient and curvature; the paper's network sees no gradient. `drift = "plain"`, and any
  problem without gradients, starts from the prior's steps. Either way variances are learned as well.
- That gradient goes through an affine map fitted to the decoder (and refitted where the posterior of a single
  measurement lies); `guide = "decoder"` differentiates the decoder itself at each step. The balance holds for any
  guide: what is decoded is the end of a path.
- Amortised over simulated measurements, with the z that made y among the paths of y. `amortised = False` is the
  paper's: training for one measurement, here within `sample`.
- One batch in `replays + 1` is on-policy and the others are from the buffer; the paper tosses a coin. Batches of prior
  draws are replaced by what the buffer of a single measurement begins with: the draws to which the map was fitted.
- Huber's loss. "vargrad", log Z from the batch, is what the released code does; "tb" learns it.
- The student of `distil_steps` is trained by regression alone; the paper adds a term for the variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, LogUniform, Prior, Problem, Random, Search

from . import surrogate
from .outsourced import (
    FLOAT,
    Outsourced,
    build,
    decode_flat,
    flat_likelihood,
    is_guided,
    path_noise,
    prior_draws,
)
from .surrogate import Affine, no_map
from .training import Training

__all__ = ["ODS"]

NUM_HESSIANS = 16  # of simulated measurements, averaged
NUM_ASSESSED = 16  # simulated measurements on which a trained sampler is assessed
ADAPT_FROM = 0.1  # power of the likelihood at the affine map's first refit


@dataclass(frozen=True)
class ODS:
    """One diffusion sampler for all measurements of a problem or, with `amortised = False`, one for each.

    A sample is decoded once. `guide = "decoder"` adds a decoded row and its gradient for each step, and
    `amortised = False` the training, shared by the samples of a measurement.
    """

    needs: ClassVar[Cap] = Cap.DECODER | Cap.SIMULATE
    uses: ClassVar[Cap] = Cap.GRAD
    search: ClassVar[Search] = {
        "learning_rate": LogUniform(3e-4, 1e-2),
        "last": LogUniform(0.002, 0.05),
    }
    tiny: ClassVar[dict[str, object]] = {
        "num_steps": 6, "num_iterations": 20, "num_groups": 4, "group_size": 8, "width": 16, "num_layers": 1,
        "num_fit": 128, "num_adapt": 2, "num_adapt_draws": 64,
    }  # fmt: skip

    amortised: bool = True
    drift: Literal["langevin", "plain"] = "langevin"
    guide: Literal["affine", "decoder"] = "affine"
    loss: Literal["vargrad", "tb"] = "vargrad"
    num_steps: int = 12
    # variance of the second noising step from the noise end; that of the first is 1
    first: float = 0.5
    last: float = 0.02  # of the one at the data end
    num_iterations: int = 240
    num_groups: int = 16  # measurements in a batch
    group_size: int = 8  # paths for each
    replays: int = 2  # batches from the buffer after each on-policy batch
    num_buffered: int = 10_000  # ends of paths
    learning_rate: float = 2e-3
    max_gradient: float = 1.0
    huber: float = 10.0  # nats from where the loss is linear
    beta_start: float = 0.1  # power of the likelihood at first, rising to 1
    anneal: float = 0.5  # within this share of the iterations
    width: int = 192
    num_layers: int = 3
    num_fit: int = 2048  # prior draws decoded for the affine map
    num_adapt: int = 2  # times it is refitted to one measurement
    num_adapt_draws: int = 512
    distil_steps: int = 0  # of training a student that makes a sample at once; 0: no student

    def __post_init__(self) -> None:
        sizes = (
            "num_groups",
            "group_size",
            "num_layers",
            "width",
            "num_fit",
            "num_adapt",
            "num_adapt_draws",
        )
        for name in (*sizes, "num_buffered"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if self.num_steps < 2 or self.group_size < 2:
            raise ValueError("expected num_steps >= 2 and group_size >= 2")
        if not 0 < self.last <= self.first < 1 or not 0 < self.beta_start <= 1:
            raise ValueError("expected 0 < last <= first < 1 and 0 < beta_start <= 1")
        choices = {
            "drift": ("langevin", "plain"),
            "guide": ("affine", "decoder"),
            "loss": ("vargrad", "tb"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: expected one of {', '.join(allowed)}"
                )

    @property
    def batch(self) -> int:
        return self.num_groups * self.group_size

    @property
    def num_guided(self) -> int:
        """Return the gradients through the decoder for one sample; a student takes its only one at zero."""
        return (1 if self.distil_steps else self.num_steps) * (self.guide == "decoder")

    @property
    def gradients_in_training(self) -> int:
        students = self.distil_steps * (self.num_steps + 1)
        return (
            self.batch
            * (self.num_iterations * self.num_steps + students)
            * (self.guide == "decoder")
        )

    @property
    def rows_in_training(self) -> int:
        ends = math.ceil(self.num_iterations / (self.replays + 1)) * self.batch
        return (
            self.num_fit + self.num_adapt * self.num_adapt_draws + ends + self.gradients_in_training
        )

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        rows, gradients = 1.0 + self.num_guided, float(self.num_guided)
        if not self.amortised:
            rows += self.rows_in_training / num_samples
            gradients += self.gradients_in_training / num_samples
        return NFE(rows * prior.decode_nfe, gradients * prior.decode_nfe, at_most=True)

    @torch.no_grad()
    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> dict[str, Tensor]:
        """Return the sampler's tensors, and its mean `log_z`, `elbo`, `ess` () on measurements simulated at the end."""
        if not self.amortised:
            return {}
        z, x = prior_draws(prior, self.num_fit, rng)
        y = problem.simulate(x, rng)
        affine = no_map(z)
        if is_guided(self, problem):
            some = slice(0, NUM_HESSIANS)
            hessian = surrogate.mean_curvature(
                flat_likelihood(prior, problem), x[some].flatten(1), y[some]
            )
            affine = surrogate.in_principal_axes(*surrogate.fit_affine(z, x.flatten(1)), hessian)
        trained = build(
            self, prior, problem, affine, y.flatten(1).mean(0), y.flatten(1).std(0)
        ).initialised(rng)
        u = trained.coordinates(z)

        def measurements(n: int) -> tuple[Tensor, Tensor]:
            index = rng.randint(len(x), (n,))[0]
            return problem.simulate(x[index], rng), u[index]

        Training(self, trained, measurements, rng).run(start=[])
        y = problem.simulate(x[:NUM_ASSESSED], rng)
        quality = trained.quality(
            y, path_noise(rng, len(y), self.batch, self.num_steps + 1, z.shape[1])
        )
        return trained.state() | {name: value.mean() for name, value in quality._asdict().items()}

    def sample(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_samples: int,
        *,
        rng: Random,
        state: Mapping[str, Tensor],
    ) -> Tensor:
        samplers = self.samplers(prior, problem, y, rng, state)
        xi = rng.per_sample.randn((self.num_steps + 1, math.prod(prior.latent_shape))).to(FLOAT)
        return torch.cat([trained.draw(y[rows], xi[rows]) for rows, trained in samplers])

    def diagnose(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_paths: int,
        *,
        rng: Random,
        state: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Return `log_z`, `elbo` and `path_ess` of each measurement, (m,), from `num_paths` paths of its sampler.

        Z is the mean of exp(log_likelihood) under the prior.
        """
        samplers = self.samplers(prior, problem, y, rng, state)
        xi = rng.randn((num_paths, self.num_steps + 1, math.prod(prior.latent_shape))).to(FLOAT)
        qualities = [trained.quality(y[rows], xi[rows]) for rows, trained in samplers]
        log_z, elbo, ess = (torch.cat(values) for values in zip(*qualities, strict=True))
        return {"log_z": log_z, "elbo": elbo, "path_ess": ess}

    def samplers(
        self, prior: Prior, problem: Problem, y: Tensor, rng: Random, state: Mapping[str, Tensor]
    ) -> list[tuple[slice, Outsourced]]:
        """Return the sampler of each slice of measurements: that of the state for all, or one trained for each."""
        if self.amortised:
            affine = Affine(*(state[f"affine.{name}"].to(y) for name in Affine._fields))
            trained = build(
                self, prior, problem, affine, state["y.mean"].to(y), state["y.std"].to(y)
            )
            return [(slice(None), trained.loaded(state))]
        rows = [slice(i, i + 1) for i in range(len(y))]
        return [
            (row, self._train_one(prior, problem, y[row], rng.only(i)))
            for i, row in enumerate(rows)
        ]

    @torch.no_grad()
    def _train_one(self, prior: Prior, problem: Problem, y: Tensor, rng: Random) -> Outsourced:
        z, x = prior_draws(prior, self.num_fit, rng)
        affine, log_likelihood, x = no_map(z), flat_likelihood(prior, problem), x.flatten(1)
        if is_guided(self, problem):
            betas = (
                torch.linspace(math.log(ADAPT_FROM), -math.log(ADAPT_FROM), self.num_adapt)
                .clamp_max(0)
                .exp()
            )
            xi = rng.randn((self.num_adapt, self.num_adapt_draws, z.shape[1]))[0]
            shift, matrix = surrogate.fit_affine(z, x)
            to_x = partial(decode_flat, prior)
            affine, z, x = surrogate.adapted_fit(
                to_x, log_likelihood, shift, matrix, y, betas.to(z), xi
            )
        trained = build(self, prior, problem, affine, y.new_zeros(0), y.new_zeros(0)).initialised(
            rng
        )
        reward = log_likelihood(x, y.expand(len(x), *y.shape[1:])).to(FLOAT)
        seen = zip(
            trained.coordinates(z).split(self.group_size),
            reward.split(self.group_size),
            strict=True,
        )
        start = [(y[0], u, r) for u, r in seen if len(r) == self.group_size]
        Training(self, trained, lambda n: (y.expand(n, *y.shape[1:]), None), rng).run(start)
        return trained
