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
- Latents that are images of more than 1024 numbers have UNets, as the paper's all do, and the affine map is diagonal in
  their wavelets but for the image at 8 pixels a side (`network`).
- `warm_start` is the share of iterations that first fit the steps to paths noised back from the z that made y.
- The student of `distil_steps` is trained by regression alone; the paper adds a term for the variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics.measured_images import channel_moments, measured_images

from .maps import is_guided, map_of_posterior, map_of_prior
from .outsourced import FLOAT, Outsourced, build, flat_likelihood, path_noise, prior_draws
from .reading import Images, Numbers, Reading
from .surrogate import Affine
from .training import Training
from .wavelets import WaveletMap

__all__ = ["ODS"]

NUM_ASSESSED = 16  # simulated measurements on which a trained sampler is assessed
DENSE_SIZE = 1024  # numbers in the largest latent images that `auto` gives the dense networks
WARM_START = 0.95  # share of the iterations with convolutional networks, unless given


@dataclass(frozen=True)
class ODS:
    """A trained diffusion sampler in noise space: one for all measurements or, with `amortised = False`, one for each.

    A sample costs one decoded row; with `guide = "decoder"` also a decoded row and its gradient for each step, and with
    `amortised = False` its share of the training for its measurement.

    Exact when the loss is zero, whatever the likelihood is; `diagnose` estimates how far the sampler is from that.
    """

    needs: ClassVar[Cap] = Cap.DECODER | Cap.SIMULATE
    uses: ClassVar[Cap] = Cap.GRAD
    kind: ClassVar[Kind] = "amortised"
    search: ClassVar[Search] = {
        "learning_rate": LogUniform(3e-4, 1e-2),
        "last": LogUniform(0.002, 0.05),
    }
    tiny: ClassVar[dict[str, object]] = {
        "num_steps": 6, "num_iterations": 20, "num_groups": 4, "group_size": 8, "width": 16, "num_layers": 1,
        "num_fit": 128, "num_adapt": 2, "num_adapt_draws": 64,
    }  # fmt: skip

    amortised: bool = True  # False: train for each measurement, within `sample`
    # dense: networks on vectors, affine map by a matrix; convolutional: UNets, map in wavelets; auto: dense for up to
    # 1024 numbers, and for latents that are no image
    network: Literal["auto", "dense", "convolutional"] = "auto"
    # what the network corrects: steps that are right for a normal approximation of the posterior, or the prior's
    drift: Literal["langevin", "plain"] = "langevin"
    # where the likelihood's gradient comes from: an affine map fitted to the decoder, or the decoder itself
    guide: Literal["affine", "decoder"] = "affine"
    loss: Literal["vargrad", "tb"] = "vargrad"  # log Z from the batch, or learned
    num_steps: int = 12  # of the sampler
    # variance of the second noising step from the noise end; that of the first is 1
    first: float = 0.5
    last: float = 0.02  # variance of the noising step at the data end
    num_iterations: int = 240  # of training
    num_groups: int = 16  # measurements in a batch
    group_size: int = 8  # paths for each
    replays: int = 2  # batches from the buffer after each on-policy batch
    num_buffered: int = 10_000  # ends of paths that the buffer keeps
    learning_rate: float = 2e-3  # of the networks' training
    max_gradient: float = 1.0  # a gradient with a larger norm is scaled down to it
    huber: float = 10.0  # nats beyond which the loss is linear
    beta_start: float = 0.1  # power of the likelihood at first, rising to 1
    anneal: float = 0.5  # share of the iterations in which it rises
    width: int = 192  # units of a hidden layer
    num_layers: int = 3  # hidden layers
    num_channels: int = 32  # of the UNets
    # share of the iterations that fit steps to simulated pairs first; None: 0 with dense networks, 0.95 with UNets
    warm_start: float | None = None
    num_fit: int = 2048  # prior draws decoded for the affine map
    num_adapt: int = 2  # times the map is refitted to one measurement
    num_adapt_draws: int = 512  # draws decoded for each refit
    distil_steps: int = 0  # steps of training a one-step student; 0: no student

    def __post_init__(self) -> None:
        sizes = "num_groups group_size num_layers width num_fit num_adapt num_adapt_draws num_channels num_buffered"
        for name in sizes.split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if self.num_steps < 2 or self.group_size < 2:
            given = f"num_steps = {self.num_steps}, group_size = {self.group_size}"
            raise ValueError(f"{given}: expected num_steps >= 2 and group_size >= 2")
        if not 0 < self.last <= self.first < 1 or not 0 < self.beta_start <= 1:
            given = f"last = {self.last}, first = {self.first}, beta_start = {self.beta_start}"
            raise ValueError(f"{given}: expected 0 < last <= first < 1 and 0 < beta_start <= 1")
        if not 0 <= (self.warm_start or 0) <= 1:
            raise ValueError(f"warm_start = {self.warm_start}: expected a share in [0, 1]")
        choices = {
            "network": ("auto", "dense", "convolutional"),
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

    def is_convolutional(self, prior: Prior) -> bool:
        """Return which networks a prior's latents have; ValueError where convolutional ones do not fit them."""
        shape = prior.latent_shape
        if self.network == "dense" or (self.network == "auto" and not is_large(shape)):
            return False
        if len(shape) != 3:
            raise ValueError(
                f"network = 'convolutional': expected latents (c, h, w), got shape {shape}; take 'auto'"
            )
        if self.drift == "langevin" and shape != prior.shape:
            raise ValueError(
                f"network = 'convolutional' with drift = 'langevin': latents {shape} and images {prior.shape} differ; "
                "take drift = 'plain', or network = 'dense'"
            )
        return True

    def num_warm(self, prior: Prior) -> int:
        """Return the number of iterations that fit simulated pairs; none where there is a single measurement."""
        default = WARM_START if self.is_convolutional(prior) else 0.0
        share = default if self.warm_start is None else self.warm_start
        return round(share * self.num_iterations) * self.amortised

    @torch.no_grad()
    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> dict[str, Tensor]:
        """Return the sampler's tensors, and its mean `log_z`, `elbo`, `ess` () on measurements simulated at the end."""
        if not self.amortised:
            return {}
        z, x = prior_draws(prior, self.num_fit, rng)
        y = problem.simulate(x, rng)
        affine = map_of_prior(self, prior, problem, z, x, y, rng)
        reading = self._reading(prior, problem, x, y)
        guided = is_guided(self, problem)
        trained = build(self, prior, problem, affine, reading, guided).initialised(rng)
        u = trained.coordinates(z)

        def measurements(n: int) -> tuple[Tensor, Tensor]:
            index = rng.randint(len(x), (n,))[0]
            return problem.simulate(x[index], rng), u[index]

        Training(self, trained, measurements, rng).run(start=[])
        large = self.is_convolutional(prior)
        y = problem.simulate(x[: self.num_groups if large else NUM_ASSESSED], rng)
        num_paths = self.group_size if large else self.batch
        quality = trained.quality(
            y, path_noise(rng, len(y), num_paths, self.num_steps + 1, z.shape[1])
        )
        return trained.state() | {name: value.mean() for name, value in quality._asdict().items()}

    def _reading(self, prior: Prior, problem: Problem, x: Tensor, y: Tensor) -> Reading:
        """Return the features of measurements, standardised by simulated ones y (n, *y) of images x (n, *x)."""
        if not self.is_convolutional(prior):
            return Numbers(y.flatten(1).mean(0), y.flatten(1).std(0))
        centre = x.mean(0).to(FLOAT)
        mean, std = channel_moments(measured_images(problem, y, centre))
        return Images(problem, mean.to(FLOAT), std.to(FLOAT), centre)

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
        shape = (self.num_steps + 1, math.prod(prior.latent_shape))
        if self.amortised:
            noises = rng.per_sample.steps(*shape[:1], shape[1:])
            return samplers[0][1].draw(y, (noise.to(FLOAT) for noise in noises))
        xi = rng.per_sample.randn(shape).to(FLOAT)
        return torch.cat(
            [trained.draw(y[rows], iter(xi[rows].unbind(2))) for rows, trained in samplers]
        )

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
        shape = (num_paths, self.num_steps + 1, math.prod(prior.latent_shape))
        if self.is_convolutional(prior):  # paths of one measurement at a time are enough to hold
            one = slice(0, 1)
            samplers = samplers * len(y) if self.amortised else samplers
            qualities = [
                trained.quality(y[i : i + 1], rng.only(i).randn(shape)[one].to(FLOAT))
                for i, (_, trained) in enumerate(samplers)
            ]
        else:
            xi = rng.randn(shape).to(FLOAT)
            qualities = [trained.quality(y[rows], xi[rows]) for rows, trained in samplers]
        log_z, elbo, ess = (torch.cat(values) for values in zip(*qualities, strict=True))
        return {"log_z": log_z, "elbo": elbo, "path_ess": ess}

    def samplers(
        self, prior: Prior, problem: Problem, y: Tensor, rng: Random, state: Mapping[str, Tensor]
    ) -> list[tuple[slice, Outsourced]]:
        """Return the sampler of each slice of measurements: that of the state for all, or one trained for each."""
        if self.amortised:
            kind = WaveletMap if self.is_convolutional(prior) else Affine
            affine = kind(*(state[f"affine.{name}"].to(y) for name in kind._fields))
            mean, std = state["y.mean"], state["y.std"]
            if kind is WaveletMap:
                moments = (part.to(y.device) for part in (mean, std, state["y.centre"]))
                reading = Images(problem, *moments)
            else:
                reading = Numbers(mean.to(y), std.to(y))
            trained = build(self, prior, problem, affine, reading, is_guided(self, problem))
            return [(slice(None), trained.loaded(state))]
        rows = [slice(i, i + 1) for i in range(len(y))]
        return [
            (row, self._train_one(prior, problem, y[row], rng.only(i)))
            for i, row in enumerate(rows)
        ]

    @torch.no_grad()
    def _train_one(self, prior: Prior, problem: Problem, y: Tensor, rng: Random) -> Outsourced:
        z, x = prior_draws(prior, self.num_fit, rng)
        affine, z, x = map_of_posterior(self, prior, problem, z, x, y, rng)
        nothing = y.new_zeros(0)
        reading: Reading = Numbers(nothing, nothing)
        if isinstance(affine, WaveletMap):
            blank = torch.zeros(prior.latent_shape, dtype=FLOAT, device=y.device)
            reading = Images(problem, nothing, nothing, blank)
        guided = is_guided(self, problem)
        trained = build(self, prior, problem, affine, reading, guided).initialised(rng)
        reward = flat_likelihood(prior, problem)(x, y.expand(len(x), *y.shape[1:])).to(FLOAT)
        seen = zip(
            trained.coordinates(z).split(self.group_size),
            reward.split(self.group_size),
            strict=True,
        )
        start = [(y[0], u, r) for u, r in seen if len(r) == self.group_size]
        Training(self, trained, lambda n: (y.expand(n, *y.shape[1:]), None), rng).run(start)
        return trained


def is_large(shape: tuple[int, ...]) -> bool:
    """Return whether a shape is that of an image of more numbers than dense networks are meant for."""
    return len(shape) == 3 and math.prod(shape) > DENSE_SIZE
