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
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Choice, LogUniform, Prior, Problem, Random, Search
from bench.numerics.nets import MLP, step

from . import surrogate, trajectory
from .outsourced import FLOAT, Outsourced, decode_flat, flat_likelihood, guide_gradient, path_noise
from .sampler import Policy, Sampler, Student
from .surrogate import Affine, no_map

__all__ = ["ODS"]

NUM_HESSIANS = 16  # of simulated measurements, averaged
NUM_JUDGED = 16  # simulated measurements on which a trained sampler is judged
ADAPT_FROM = 0.1  # power of the likelihood at the affine map's first refit
LOG_Z_SCALE = 10.0  # nats

Measurements = Callable[[int], tuple[Tensor, Tensor | None]]  # n -> y (n, *y) and, if simulated, the u that made them
Group = tuple[Tensor, Tensor, Tensor]  # y (*y), ends of paths u (g, d), log likelihoods of the ends (g,)


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
        "replays": Choice((0, 1, 3)),
    }
    tiny: ClassVar[dict[str, object]] = {
        "num_steps": 6, "num_iterations": 20, "num_groups": 4, "group_size": 8, "width": 16, "num_layers": 1,
        "num_fit": 128, "num_adapt": 2, "num_adapt_draws": 64,
    }  # fmt: skip

    amortised: bool = True
    drift: Literal["langevin", "plain"] = "langevin"
    guide: Literal["affine", "decoder"] = "affine"
    loss: Literal["vargrad", "tb"] = "vargrad"
    num_steps: int = 20
    first: float = 0.5  # variance of the second noising step from the noise end; that of the first is 1
    last: float = 0.02  # of the one at the data end
    num_iterations: int = 400
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
        sizes = ("num_groups", "group_size", "num_layers", "width", "num_fit", "num_adapt", "num_adapt_draws")
        for name in (*sizes, "num_buffered"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if self.num_steps < 2 or self.group_size < 2:
            raise ValueError("expected num_steps >= 2 and group_size >= 2")
        if not 0 < self.last <= self.first < 1 or not 0 < self.beta_start <= 1:
            raise ValueError("expected 0 < last <= first < 1 and 0 < beta_start <= 1")
        choices = {"drift": ("langevin", "plain"), "guide": ("affine", "decoder"), "loss": ("vargrad", "tb")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected one of {', '.join(allowed)}")

    @property
    def batch(self) -> int:
        return self.num_groups * self.group_size

    @property
    def num_guided(self) -> int:
        """Gradients through the decoder for one sample; a student takes its only one at zero."""
        return (1 if self.distil_steps else self.num_steps) * (self.guide == "decoder")

    @property
    def gradients_in_training(self) -> int:
        students = self.distil_steps * (self.num_steps + 1)
        return self.batch * (self.num_iterations * self.num_steps + students) * (self.guide == "decoder")

    @property
    def rows_in_training(self) -> int:
        ends = math.ceil(self.num_iterations / (self.replays + 1)) * self.batch
        return self.num_fit + self.num_adapt * self.num_adapt_draws + ends + self.gradients_in_training

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        rows, gradients = 1.0 + self.num_guided, float(self.num_guided)
        if not self.amortised:
            rows += self.rows_in_training / num_samples
            gradients += self.gradients_in_training / num_samples
        return NFE(rows * prior.decode_nfe, gradients * prior.decode_nfe, at_most=True)

    @torch.no_grad()
    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> dict[str, Tensor]:
        """The sampler's tensors, and its mean `log_z`, `elbo` and `ess` () on measurements simulated at the end."""
        if not self.amortised:
            return {}
        z, x = self._prior_draws(prior, rng)
        y = problem.simulate(x, rng)
        affine = no_map(z)
        if self._guided(problem):
            some = slice(0, NUM_HESSIANS)
            hessian = surrogate.mean_curvature(flat_likelihood(prior, problem), x[some].flatten(1), y[some])
            affine = surrogate.in_principal_axes(*surrogate.fit_affine(z, x.flatten(1)), hessian)
        trained = self._build(prior, problem, affine, y.flatten(1).mean(0), y.flatten(1).std(0)).initialised(rng)
        u = trained.coordinates(z)

        def measurements(n: int) -> tuple[Tensor, Tensor]:
            index = rng.randint(len(x), (n,))[0]
            return problem.simulate(x[index], rng), u[index]

        self._fit(trained, measurements, [], rng)
        y = problem.simulate(x[:NUM_JUDGED], rng)
        judged = trained.judge(y, path_noise(rng, len(y), self.batch, self.num_steps + 1, z.shape[1]))
        return trained.state() | {name: value.mean() for name, value in judged._asdict().items()}

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random, state: Mapping[str, Tensor]
    ) -> Tensor:
        samplers = self.samplers(prior, problem, y, rng, state)
        xi = rng.per_sample.randn((self.num_steps + 1, math.prod(prior.latent_shape))).to(FLOAT)
        return torch.cat([trained.draw(y[rows], xi[rows]) for rows, trained in samplers])

    def diagnose(
        self, prior: Prior, problem: Problem, y: Tensor, num_paths: int, *, rng: Random, state: Mapping[str, Tensor]
    ) -> trajectory.Quality:
        """`log_z`, `elbo` and `ess` of each measurement, (m,), from `num_paths` paths of its sampler.

        Z is the mean of exp(log_likelihood) under the prior.
        """
        samplers = self.samplers(prior, problem, y, rng, state)
        xi = rng.randn((num_paths, self.num_steps + 1, math.prod(prior.latent_shape))).to(FLOAT)
        judged = [trained.judge(y[rows], xi[rows]) for rows, trained in samplers]
        return trajectory.Quality(*(torch.cat(values) for values in zip(*judged, strict=True)))

    def samplers(
        self, prior: Prior, problem: Problem, y: Tensor, rng: Random, state: Mapping[str, Tensor]
    ) -> list[tuple[slice, Outsourced]]:
        """Which measurements are served by which sampler: all by that of the state, or each by its own."""
        if self.amortised:
            affine = Affine(*(state[f"affine.{name}"].to(y) for name in Affine._fields))
            trained = self._build(prior, problem, affine, state["y.mean"].to(y), state["y.std"].to(y))
            return [(slice(None), trained.loaded(state))]
        rows = [slice(i, i + 1) for i in range(len(y))]
        return [(row, self._train_one(prior, problem, y[row], rng.only(i))) for i, row in enumerate(rows)]

    @torch.no_grad()
    def _train_one(self, prior: Prior, problem: Problem, y: Tensor, rng: Random) -> Outsourced:
        z, x = self._prior_draws(prior, rng)
        affine, log_likelihood, x = no_map(z), flat_likelihood(prior, problem), x.flatten(1)
        if self._guided(problem):
            betas = torch.linspace(math.log(ADAPT_FROM), -math.log(ADAPT_FROM), self.num_adapt).clamp_max(0).exp()
            xi = rng.randn((self.num_adapt, self.num_adapt_draws, z.shape[1]))[0]
            shift, matrix = surrogate.fit_affine(z, x)
            to_x = partial(decode_flat, prior)
            affine, z, x = surrogate.adapted_fit(to_x, log_likelihood, shift, matrix, y, betas.to(z), xi)
        trained = self._build(prior, problem, affine, y.new_zeros(0), y.new_zeros(0)).initialised(rng)
        reward = log_likelihood(x, y.expand(len(x), *y.shape[1:])).to(FLOAT)
        seen = zip(trained.coordinates(z).split(self.group_size), reward.split(self.group_size), strict=True)
        start = [(y[0], u, r) for u, r in seen if len(r) == self.group_size]
        self._fit(trained, lambda n: (y.expand(n, *y.shape[1:]), None), start, rng)
        return trained

    @torch.enable_grad()
    def _fit(self, trained: Outsourced, measurements: Measurements, start: list[Group], rng: Random) -> None:
        """Algorithm 1, in place. `start` is what the buffer holds at first."""
        sampler, buffer = trained.sampler, deque(start, maxlen=max(1, self.num_buffered // self.group_size))
        parameters = [*sampler.policy.parameters(), *(trained.log_z.parameters() if trained.log_z else [])]
        optimiser = torch.optim.Adam(parameters)
        for k in range(self.num_iterations):
            progress = k / self.num_iterations
            beta = self.beta_start ** (1 - progress / self.anneal) if progress < self.anneal else 1.0
            if k % (self.replays + 1) == 0:
                y, path, pulls = self._on_policy(trained, measurements, beta, rng)
                reward = trained.reward(path[:, -1], y.repeat_interleave(self.group_size, 0)).view(len(y), -1)
                buffer.extend(zip(y, path[:, -1].unflatten(0, reward.shape), reward, strict=True))
            else:
                chosen = [buffer[j] for j in rng.randint(len(buffer), (self.num_groups,))[0].tolist()]
                y, ends, reward = (torch.stack(part) for part in zip(*chosen, strict=True))
                xi = path_noise(rng, self.batch, self.num_steps, ends.shape[2])
                path = trajectory.noise_backwards(ends.flatten(0, 1), sampler.schedule, xi)
                pulls = sampler.pulls(path, y.repeat_interleave(self.group_size, 0), beta)
            features = trained.features(y)
            log_ratio = sampler.log_ratio(path, pulls, features.repeat_interleave(self.group_size, 0), beta)
            loss = self._loss(trained, log_ratio.view_as(reward), beta * reward, features, first=k == 0)
            step(optimiser, loss, self.learning_rate, progress, self.max_gradient)
        if trained.student is not None:
            self._distil(trained, measurements, rng)

    def _on_policy(
        self, trained: Outsourced, measurements: Measurements, beta: float, rng: Random
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Measurements (k, *y), and paths and pulls of each; the first path is noised back from the u that made y."""
        sampler, (y, u) = trained.sampler, measurements(self.num_groups)
        dim, rows = len(sampler.curvature), y.repeat_interleave(self.group_size, 0)
        xi = path_noise(rng, self.batch, self.num_steps + 1, dim)
        path, pulls = sampler.rollout(rows, trained.features(rows), xi, beta)
        if u is not None:
            known = trajectory.noise_backwards(u, sampler.schedule, path_noise(rng, len(y), self.num_steps, dim))
            path[:: self.group_size], pulls[:: self.group_size] = known, sampler.pulls(known, y, beta)
        return y, path, pulls

    def _loss(self, trained: Outsourced, log_ratio: Tensor, reward: Tensor, features: Tensor, first: bool) -> Tensor:
        if trained.log_z is None:
            groups = (len(features) if self.amortised else 1, -1)  # one measurement has one log Z
            error = trajectory.balance(log_ratio.view(groups), reward.view(groups))
        else:
            if first:  # near enough for the network to find the rest
                trained.log_z.out.bias.data.fill_((reward - log_ratio).mean() / LOG_Z_SCALE)
            log_z = LOG_Z_SCALE * trained.log_z(features, features.new_zeros(len(features)))[:, 0]
            error = trajectory.balance(log_ratio, reward, log_z)
        return trajectory.huber(error, self.huber).mean()

    def _distil(self, trained: Outsourced, measurements: Measurements, rng: Random) -> None:
        """Appendix C.1: regression on where the sampler's deterministic flow takes z_0."""
        optimiser = torch.optim.Adam(trained.student.parameters())
        for k in range(self.distil_steps):
            y = measurements(self.batch)[0]
            z, features = path_noise(rng, self.batch, len(trained.sampler.curvature)), trained.features(y)
            error = trained.student(z, y, features, trained.sampler) - trained.sampler.flow(z, y, features)
            loss = (error.square() * (1 + trained.sampler.curvature)).mean()
            step(optimiser, loss, self.learning_rate, k / self.distil_steps, self.max_gradient)

    def _build(self, prior: Prior, problem: Problem, affine: Affine, mean: Tensor, std: Tensor) -> Outsourced:
        """With networks that are to be initialised or loaded."""
        dim, size = len(affine.axes), (len(mean), self.width, self.num_layers)
        with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when they are made
            policy = Policy(self.num_steps, dim, *size)
            log_z = MLP(len(mean), 1, self.width, 1) if self.loss == "tb" else None
            student = Student(dim, *size) if self.distil_steps else None
        for network in (policy, log_z, student):
            if network is not None:
                network.to(affine.axes.device)
        levels = trajectory.vp_schedule(self.num_steps, self.first, self.last, FLOAT)
        schedule = trajectory.Schedule(*(part.to(affine.axes.device) for part in levels))
        guided = guide_gradient(prior, problem, affine, self.guide == "decoder") if self._guided(problem) else None
        sampler = Sampler(policy, schedule, affine.curvature.to(FLOAT), guided)
        return Outsourced(prior, problem, affine, mean, std, sampler, log_z, student)

    def _guided(self, problem: Problem) -> bool:
        return self.drift == "langevin" and Cap.GRAD in problem.caps

    def _prior_draws(self, prior: Prior, rng: Random) -> tuple[Tensor, Tensor]:
        """z (num_fit, d) and f(z) (num_fit, *x)."""
        z = rng.randn((self.num_fit, math.prod(prior.latent_shape)))[0]
        return z, decode_flat(prior, z).unflatten(1, prior.shape)
