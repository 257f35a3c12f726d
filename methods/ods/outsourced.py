"""A diffusion sampler in the noise space of a decoder: its parts, its samples, their rewards and its quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.core.types import Prior, Problem, Random
from bench.numerics.chunks import rows_of
from bench.numerics.nets import MLP, flatten_state, initialise, load_state

from .convolutions import ImageLogZ, ImagePolicy, ImageStudent
from .reading import Reading
from .sampler import Policy, Sampler, Student
from .surrogate import Affine, LogLikelihood, gradient
from .trajectory import Quality, Schedule, quality, vp_schedule
from .wavelets import WaveletMap

if TYPE_CHECKING:
    from . import ODS

FLOAT = torch.float32  # of paths and networks; decoder and likelihood work in y's
ROWS_PER_CALL = 256  # of the decoder


@dataclass(frozen=True, eq=False)
class Outsourced:
    """`sampler` works in the coordinates u of `affine`, in float32; `log_z` and `student` may be missing.

    reading: what the networks see of a measurement.
    """

    prior: Prior
    problem: Problem
    affine: Affine | WaveletMap
    reading: Reading
    sampler: Sampler
    log_z: MLP | ImageLogZ | None
    student: Student | ImageStudent | None

    @property
    def networks(self) -> dict[str, nn.Module]:
        named = {"policy": self.sampler.policy, "log_z": self.log_z, "student": self.student}
        return {name: module for name, module in named.items() if module is not None}

    def initialised(self, rng: Random) -> Outsourced:
        """Initialise the networks so that they add nothing to the guide."""
        for module in self.networks.values():
            initialise(module, rng, zero=getattr(module, "ends", ("out",)))
        return self

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that training made, by name."""
        state = {f"affine.{name}": tensor for name, tensor in self.affine._asdict().items()}
        state |= self.reading.tensors
        for name, module in self.networks.items():
            state |= flatten_state(module, name)
        return state

    def loaded(self, state: Mapping[str, Tensor]) -> Outsourced:
        """Load the networks from what `state` gave."""
        for name, module in self.networks.items():
            load_state(module, state, name)
        return self

    def coordinates(self, z: Tensor) -> Tensor:
        """Map flat latents (n, d) to u (n, d)."""
        return self.affine.coordinates(z).to(FLOAT)

    def decode(self, u: Tensor) -> Tensor:
        """Map u (n, d) to x (n, *x), in the dtype of the affine map."""
        z = self.affine.latents(u.to(self.affine.like))
        return decode_flat(self.prior, z).unflatten(1, self.prior.shape)

    @torch.no_grad()
    def reward(self, u: Tensor, y: Tensor) -> Tensor:
        """Return the log likelihood of y (n, *y) at the decoded u (n, d), (n,)."""
        return self.problem.log_likelihood(self.decode(u), y).to(FLOAT)

    @torch.no_grad()
    def draw(self, y: Tensor, noise: Iterator[Tensor]) -> Tensor:
        """Draw samples (m, s, *x) for y (m, *y) from T + 1 noises (m, s, d)."""
        first = next(noise)
        rows = y.repeat_interleave(first.shape[1], 0)
        features, u = self.reading(rows), first.flatten(0, 1)
        if self.student is not None:
            ends = self.student(u, rows, features, self.sampler)
        else:
            later = (part.flatten(0, 1) for part in noise)
            ends = self.sampler.end(rows, features, u, later)
        return self.decode(ends).unflatten(0, first.shape[:2])

    @torch.no_grad()
    def quality(self, y: Tensor, noise: Tensor) -> Quality:
        """Return the quality (m,) of the sampler, not the student, by paths of noise (m, n, T + 1, d) for y (m, *y)."""
        rows = y.repeat_interleave(noise.shape[1], 0)
        features = self.reading(rows)
        path, pulls = self.sampler.rollout(rows, features, noise.flatten(0, 1))
        log_ratio = self.sampler.log_ratio(path, pulls, features)
        return quality(
            log_ratio.unflatten(0, noise.shape[:2]),
            self.reward(path[:, -1], rows).view(noise.shape[:2]),
        )


def path_noise(rng: Random, *shape: int) -> Tensor:
    """Draw standard normal numbers of exactly that shape from an rng of one stream, in the dtype of paths."""
    return rng.randn(shape)[0].to(FLOAT)


def prior_draws(prior: Prior, num_draws: int, rng: Random) -> tuple[Tensor, Tensor]:
    """Draw z (num_draws, d) from an rng of one stream; return it with f(z) (num_draws, *x)."""
    z = rng.randn((num_draws, math.prod(prior.latent_shape)))[0]
    return z, decode_flat(prior, z).unflatten(1, prior.shape)


def build(
    method: ODS,
    prior: Prior,
    problem: Problem,
    affine: Affine | WaveletMap,
    reading: Reading,
    guided: bool,
) -> Outsourced:
    """Return a sampler in the coordinates of `affine`, whose networks are yet to be initialised or loaded."""
    device = affine.like.device
    # layers draw from the global generator when they are made
    with torch.random.fork_rng(devices=[]):
        policy, *others = networks(method, affine, len(reading.mean))
        policy = policy.to(device)
        log_z, student = (None if module is None else module.to(device) for module in others)
    levels = vp_schedule(method.num_steps, method.first, method.last, FLOAT)
    schedule = Schedule(*(part.to(device) for part in levels))
    through_decoder = method.guide == "decoder"
    guide = guide_gradient(prior, problem, affine, through_decoder) if guided else None
    sampler = Sampler(policy, schedule, affine.curvature.to(FLOAT), guide)
    return Outsourced(prior, problem, affine, reading, sampler, log_z, student)


def networks(method: ODS, affine: Affine | WaveletMap, num_features: int) -> tuple:
    """Return the networks of policy, log Z and student; None for those that the settings leave out."""
    has_log_z, has_student = method.loss == "tb", bool(method.distil_steps)
    if isinstance(affine, WaveletMap):
        sizes = num_features, method.num_channels
        policy = ImagePolicy(method.num_steps, affine, *sizes)
        log_z = ImageLogZ(num_features, method.width) if has_log_z else None
        return policy, log_z, ImageStudent(affine, *sizes) if has_student else None
    dim, size = len(affine.axes), (num_features, method.width, method.num_layers)
    log_z = MLP(num_features, 1, method.width, 1) if has_log_z else None
    policy = Policy(method.num_steps, dim, *size)
    return policy, log_z, Student(dim, *size) if has_student else None


def decode_flat(prior: Prior, z: Tensor) -> Tensor:
    """Decode z (n, d) to x (n, D), a few rows at a time."""
    at_once = min(ROWS_PER_CALL, rows_of(prior.shape))
    parts = z.unflatten(1, prior.latent_shape).split(at_once)
    return torch.cat([prior.decode(part).flatten(1) for part in parts])


def flat_likelihood(prior: Prior, problem: Problem) -> LogLikelihood:
    """Return the log likelihood as a function of flat images x (n, D), in their dtype, and y (n, *y)."""
    return lambda x, y: problem.log_likelihood(x.unflatten(1, prior.shape), y.to(x.dtype))


def guide_gradient(
    prior: Prior, problem: Problem, affine: Affine | WaveletMap, through_decoder: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the gradient of the log likelihood in u (n, d), through the affine map or through the decoder itself."""
    log_likelihood = flat_likelihood(prior, problem)
    single = affine.single()

    def through_map(u: Tensor, y: Tensor) -> Tensor:
        return single.pulled_back(gradient(log_likelihood, single.images(u), y))

    def through(u: Tensor, y: Tensor) -> Tensor:
        z, some = affine.latents(u.to(affine.like)), rows_of(prior.shape)
        gradients = [
            gradient(lambda z, y: log_likelihood(decode_flat(prior, z), y), *part)
            for part in zip(z.split(some), y.split(some), strict=True)
        ]
        return affine.coordinates(torch.cat(gradients)).to(FLOAT)

    return through if through_decoder else through_map
