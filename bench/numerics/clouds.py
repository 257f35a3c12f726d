"""Clouds of weighted particles: resampling, log evidence and ancestors, and how samples are taken from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bench.core.types import Random
from bench.numerics.smc import systematic_resample

JOINTS = ("independent", "coupled")
CloudJoint = Literal["independent", "coupled"]
NUMBERS = 2**24  # of the particles of all clouds that are moved together


@dataclass(frozen=True, eq=False)
class Clouds:
    """The weights of c clouds of k particles each, in the order in which a method keeps the particles, (c k, *x).

    log_weight (c, k): since the last resampling. log_z (c,): log evidence at that time. ancestors (c, k): the particle
    at the start from which each one descends. The mean weight of a cloud is an unbiased estimate of its evidence.
    """

    log_weight: Tensor
    log_z: Tensor
    ancestors: Tensor

    @classmethod
    def start(cls, num_clouds: int, num_particles: int, like: Tensor) -> Clouds:
        """Return clouds of equal weights, of the dtype and on the device of `like`."""
        ancestors = torch.arange(num_particles, device=like.device).expand(num_clouds, -1)
        zeros = like.new_zeros(num_clouds, num_particles)
        return cls(zeros, zeros[:, 0], ancestors)

    def weighted(self, log_weight: Tensor) -> Clouds:
        """Return clouds whose weights are multiplied by exp(log_weight), (c k,) or (c, k)."""
        return replace(self, log_weight=self.log_weight + log_weight.view_as(self.log_weight))

    def resampled(self, uniform: Tensor, least_share: float) -> tuple[Clouds, Tensor]:
        """Return clouds and the indices (c k,) of the particles that go on.

        A cloud is resampled where its effective share of particles is below `least_share`: 1 resamples whenever
        weights differ, 0 never. uniform (c,) in [0, 1).
        """
        num_clouds, num_particles = self.log_weight.shape
        needed = self.share < least_share
        drawn = systematic_resample(self.log_weight.softmax(1), uniform)
        kept = torch.arange(num_particles, device=drawn.device)
        index = torch.where(needed[:, None], drawn, kept)
        clouds = Clouds(
            torch.where(needed[:, None], 0.0, self.log_weight),
            torch.where(needed, self.evidence, self.log_z),
            self.ancestors.gather(1, index),
        )
        return clouds, self._flat(index)

    def drawn(self, uniform: Tensor, order: Tensor) -> Tensor:
        """Return the indices (c num_drawn,) of particles drawn by their weights, in random order.

        uniform (c,) and order (c, num_drawn) in [0, 1).
        """
        index = systematic_resample(self.log_weight.softmax(1), uniform, order.shape[1])
        return self._flat(index.gather(1, order.argsort(1)))

    @property
    def evidence(self) -> Tensor:
        """Return the log of the evidence's estimate, (c,)."""
        return self.log_z + self.log_weight.logsumexp(1) - math.log(self.log_weight.shape[1])

    @property
    def share(self) -> Tensor:
        """Return the effective share of particles by their weights, (sum w)^2 / (k sum w^2), (c,)."""
        log_weight = self.log_weight.log_softmax(1)
        return (-(2 * log_weight).logsumexp(1)).exp() / log_weight.shape[1]

    @property
    def num_ancestors(self) -> Tensor:
        """Return how many particles of the start have descendants, (c,)."""
        changes = self.ancestors.sort(1).values.diff(dim=1) != 0
        return 1 + changes.sum(1)

    def _flat(self, index: Tensor) -> Tensor:
        num_clouds, num_particles = self.log_weight.shape
        first = num_particles * torch.arange(num_clouds, device=index.device)
        return (first[:, None] + index).flatten()


Run = Callable[[Tensor, Random], tuple[Clouds, Tensor]]  # of y (c, *y) -> clouds, particles


def samples_of(
    run: Run, y: Tensor, num_samples: int, rng: Random, joint: CloudJoint, numbers: int
) -> Tensor:
    """Return samples (m, s, *x) from clouds that `run` moves, for measurements y (m, *y).

    joint: "independent" draws each sample from a cloud of its own, "coupled" all samples of a measurement from one
    cloud. numbers: how many the particles of one cloud hold. Clouds are moved one after another where all of them
    together hold more than `NUMBERS`.
    """
    alone = joint == "independent"
    streams = rng.per_sample.flat if alone else rng
    y = y.repeat_interleave(num_samples, 0) if alone else y
    together = len(y) * numbers <= NUMBERS
    parts = [(y, streams)] if together else [(y[i : i + 1], streams.only(i)) for i in range(len(y))]
    samples = [_drawn(run, rows, only, 1 if alone else num_samples) for rows, only in parts]
    return torch.cat(samples).unflatten(0, (-1, num_samples))


def _drawn(run: Run, y: Tensor, rng: Random, num_samples: int) -> Tensor:
    """Return samples (c num_samples, *x), `num_samples` of each cloud."""
    clouds, particles = run(y, rng)
    uniform = rng.rand((1 + num_samples,))
    return particles[clouds.drawn(uniform[:, 0], uniform[:, 1:])]


def diagnosis_of(run: Run, y: Tensor, rng: Random) -> dict[str, Tensor]:
    """Return the diagnoses of one cloud for each measurement, (m,) each: log_z, path_ess and num_ancestors."""
    clouds = [run(y[i : i + 1], rng.only(i))[0] for i in range(len(y))]
    return {
        "log_z": torch.cat([cloud.evidence for cloud in clouds]),
        "path_ess": torch.cat([cloud.share for cloud in clouds]),
        "num_ancestors": torch.cat([cloud.num_ancestors for cloud in clouds]).to(y.dtype),
    }


def geometric_sigmas(num_steps: int, high: float, low: float, like: Tensor) -> Tensor:
    """Return noise levels high = sigma_0 > ... > sigma_{N-1} = low > sigma_N = 0, (N + 1,), with equal ratios."""
    levels = torch.linspace(math.log(high), math.log(low), num_steps, dtype=torch.float64).exp()
    return torch.cat([levels, levels.new_zeros(1)]).to(like)
