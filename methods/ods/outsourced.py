"""A diffusion sampler in the noise space of a decoder: its parts, its samples, their rewards and its quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.core.types import Cap, Prior, Problem, Random
from bench.numerics.nets import MLP, flatten_state, initialise, load_state

from .sampler import Policy, Sampler, Student
from .surrogate import Affine, LogLikelihood, gradient
from .trajectory import Quality, Schedule, quality, vp_schedule

if TYPE_CHECKING:
    from . import ODS

FLOAT = torch.float32  # of paths and networks; decoder and likelihood work in y's
ROWS_PER_CALL = 256  # of the decoder


@dataclass(frozen=True, eq=False)
class Outsourced:
    """`sampler` works in u = z axes, with the axes of `affine`, in float32; `log_z` and `student` may be missing.

    mean, std (k,): of the first k numbers of a measurement, all or none, which the networks see standardised.
    """

    prior: Prior
    problem: Problem
    affine: Affine
    mean: Tensor
    std: Tensor
    sampler: Sampler
    log_z: MLP | None
    student: Student | None

    @property
    def networks(self) -> dict[str, nn.Module]:
        named = {"policy": self.sampler.policy, "log_z": self.log_z, "student": self.student}
        return {name: module for name, module in named.items() if module is not None}

    def initialised(self, rng: Random) -> Outsourced:
        """Initialise the networks so that they add nothing to the guide."""
        for name, module in self.networks.items():
            tables = ("gain", "sharpness") if name == "policy" else ()
            initialise(module, rng, zero=("out" if name == "log_z" else "net.out", *tables))
        return self

    def state(self) -> dict[str, Tensor]:
        """Return all that training made, flat."""
        state = {f"affine.{name}": tensor for name, tensor in self.affine._asdict().items()}
        state |= {"y.mean": self.mean, "y.std": self.std}
        for name, module in self.networks.items():
            state |= flatten_state(module, name)
        return state

    def loaded(self, state: Mapping[str, Tensor]) -> Outsourced:
        """Load the networks from what `state` gave."""
        for name, module in self.networks.items():
            load_state(module, state, name)
        return self

    def features(self, y: Tensor) -> Tensor:
        """Standardise the first k numbers of y (n, *y), (n, k); the spread is at least 1e-3."""
        return ((y.flatten(1)[:, : len(self.mean)] - self.mean) / self.std.clamp_min(1e-3)).to(
            FLOAT
        )

    def coordinates(self, z: Tensor) -> Tensor:
        return (z @ self.affine.axes).to(FLOAT)

    def decode(self, u: Tensor) -> Tensor:
        """Map u (n, d) to x (n, *x), in the dtype of the affine map."""
        z = u.to(self.affine.axes) @ self.affine.axes.T
        return decode_flat(self.prior, z).unflatten(1, self.prior.shape)

    @torch.no_grad()
    def reward(self, u: Tensor, y: Tensor) -> Tensor:
        """Return the log likelihood of y (n, *y) at the decoded u (n, d), (n,)."""
        return self.problem.log_likelihood(self.decode(u), y).to(FLOAT)

    @torch.no_grad()
    def draw(self, y: Tensor, noise: Tensor) -> Tensor:
        """Draw samples (m, s, *x) for y (m, *y) from noise (m, s, T + 1, d)."""
        rows = y.repeat_interleave(noise.shape[1], 0)
        features = self.features(rows)
        if self.student is not None:
            ends = self.student(noise[:, :, 0].flatten(0, 1), rows, features, self.sampler)
        else:
            ends = self.sampler.rollout(rows, features, noise.flatten(0, 1))[0][:, -1]
        return self.decode(ends).unflatten(0, noise.shape[:2])

    @torch.no_grad()
    def quality(self, y: Tensor, noise: Tensor) -> Quality:
        """Return the quality (m,) of the sampler, not the student, by paths of noise (m, n, T + 1, d) for y (m, *y)."""
        rows = y.repeat_interleave(noise.shape[1], 0)
        features = self.features(rows)
        path, pulls = self.sampler.rollout(rows, features, noise.flatten(0, 1))
        log_ratio = self.sampler.log_ratio(path, pulls, features)
        return quality(
            log_ratio.unflatten(0, noise.shape[:2]),
            self.reward(path[:, -1], rows).view(noise.shape[:2]),
        )


def path_noise(rng: Random, *shape: int) -> Tensor:
    """Draw standard normal numbers of that very shape from an rng of one stream, in the dtype of paths."""
    return rng.randn(shape)[0].to(FLOAT)


def is_guided(method: ODS, problem: Problem) -> bool:
    """Return whether the sampler starts from the likelihood's gradient and curvature."""
    return method.drift == "langevin" and Cap.GRAD in problem.caps


def prior_draws(prior: Prior, num_draws: int, rng: Random) -> tuple[Tensor, Tensor]:
    """Draw z (num_draws, d) from an rng of one stream; return it with f(z) (num_draws, *x)."""
    z = rng.randn((num_draws, math.prod(prior.latent_shape)))[0]
    return z, decode_flat(prior, z).unflatten(1, prior.shape)


def build(
    method: ODS, prior: Prior, problem: Problem, affine: Affine, mean: Tensor, std: Tensor
) -> Outsourced:
    """Return a sampler in the coordinates of `affine`, whose networks are yet to be initialised or loaded."""
    dim = len(affine.axes)
    size = (len(mean), method.width, method.num_layers)
    device = affine.axes.device
    # layers draw from the global generator when they are made
    with torch.random.fork_rng(devices=[]):
        policy = Policy(method.num_steps, dim, *size).to(device)
        log_z = MLP(len(mean), 1, method.width, 1).to(device) if method.loss == "tb" else None
        student = Student(dim, *size).to(device) if method.distil_steps else None
    levels = vp_schedule(method.num_steps, method.first, method.last, FLOAT)
    schedule = Schedule(*(part.to(device) for part in levels))
    through_decoder = method.guide == "decoder"
    guide = (
        guide_gradient(prior, problem, affine, through_decoder)
        if is_guided(method, problem)
        else None
    )
    sampler = Sampler(policy, schedule, affine.curvature.to(FLOAT), guide)
    return Outsourced(prior, problem, affine, mean, std, sampler, log_z, student)


def decode_flat(prior: Prior, z: Tensor) -> Tensor:
    """Decode z (n, d) to x (n, D), a few rows at a time."""
    parts = z.unflatten(1, prior.latent_shape).split(ROWS_PER_CALL)
    return torch.cat([prior.decode(part).flatten(1) for part in parts])


def flat_likelihood(prior: Prior, problem: Problem) -> LogLikelihood:
    """Return the log likelihood as a function of flat images x (n, D), in their dtype, and y (n, *y)."""
    return lambda x, y: problem.log_likelihood(x.unflatten(1, prior.shape), y.to(x.dtype))


def guide_gradient(
    prior: Prior, problem: Problem, affine: Affine, through_decoder: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the gradient of the log likelihood by u (n, d), through the affine map or through the decoder itself."""
    log_likelihood = flat_likelihood(prior, problem)
    single = Affine(*(tensor.to(FLOAT) for tensor in affine))

    def through_map(u: Tensor, y: Tensor) -> Tensor:
        return gradient(log_likelihood, single.shift + u @ single.matrix, y) @ single.matrix.T

    def through(u: Tensor, y: Tensor) -> Tensor:
        z = u.to(affine.axes) @ affine.axes.T
        return (
            gradient(lambda z, y: log_likelihood(decode_flat(prior, z), y), z, y) @ affine.axes
        ).to(FLOAT)

    return through if through_decoder else through_map
