"""All metrics of the samples of m measurements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from bench.formulas.chains import (
    bulk_effective_sample_size,
    rank_normalised_rhat,
    tail_effective_sample_size,
)
from bench.metrics import distances
from bench.metrics.calibration import coverage, rank_interval
from bench.metrics.definitions import LEVELS
from bench.metrics.images import psnr, ssim
from bench.types import Cap

NUM_DIRECTIONS = 3
NUM_DRAWS_FOR_DIRECTIONS = 128


class Misfit(Protocol):
    """The part of a problem that metrics use, row by row; a reward (no RESIDUAL in `caps`) has its likelihood alone."""

    caps: Cap
    sigma_y: float

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor: ...
    def residual(self, x: Tensor, y: Tensor) -> Tensor: ...
    def num_observed(self, y: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Truth:
    """What is known of m measurements, in float64; costly summaries are computed once for all methods."""

    problem: Misfit
    x_true: Tensor  # (m, *x)
    y: Tensor  # (m, *y)
    exact: Tensor  # (m, e, *x)
    mean: Tensor  # (m, *x), of the exact posterior
    std: Tensor  # (m, *x), of the exact posterior

    @cached_property
    def draws(self) -> Tensor:
        return self.exact.flatten(2)

    @cached_property
    def projected(self) -> Tensor:
        return distances.projected(self.draws)

    @cached_property
    def mean_distance(self) -> Tensor:
        return distances.mean_distance_within(self.draws)

    @cached_property
    def principal_directions(self) -> Tensor:
        """Leading right singular vectors of some centred exact draws, `(m, D, 3)`."""
        some = self.draws[:, :NUM_DRAWS_FOR_DIRECTIONS]
        return torch.linalg.svd(some - some.mean(1, keepdim=True), full_matrices=False).Vh[:, :NUM_DIRECTIONS].mT


def compute(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    """What samples tell by themselves and against exact draws, `(m, s, *x)` -> spec id -> `(m,)`.

    In the order of `definitions.METRICS`; without chi2_sample where the problem has no residual.
    """
    return {
        **_of_images(samples, truth),
        **_of_distances(samples, truth),
        **_of_moments(samples, truth),
        **_of_calibration(samples, truth),
    }


def compute_total(samples: Tensor, teacher: Truth) -> dict[str, Tensor]:
    """Distances of samples from a distilled map to the exact posterior under the map's teacher, `(m, s, *x)` -> `(m,)`.

    They hold both the sampler's error and the map's, where `compute` sees the sampler's alone.
    """
    x = samples.flatten(2)
    return {
        "sw2-128_total": distances.sliced_wasserstein2(distances.projected(x), teacher.projected),
        "energy_total": distances.energy_distance(x, teacher.draws, teacher.mean_distance),
        "mean_error_total": (x.mean(1) - teacher.mean.flatten(1)).square().mean(1).sqrt(),
    }


def compute_chains(samples: Tensor, truth: Truth, num_chains: int) -> dict[str, Tensor]:
    """R-hat and effective sample sizes, `(m,)` each, not finite where the chains do not move.

    Sample t C + c is state t of chain c; a last t that not all C chains have reached is left out.
    """
    projections = samples.flatten(2) @ truth.principal_directions
    rounded = (projections / distances.RESOLUTION).round()  # a direction without spread must not show rounding noise
    rows = truth.y.repeat_interleave(samples.shape[1], 0)
    log_likelihood = truth.problem.log_likelihood(samples.flatten(0, 1), rows).unflatten(0, samples.shape[:2])
    functionals = torch.cat([log_likelihood[..., None], rounded], -1).mT  # (m, functionals, s)
    num_states = samples.shape[1] // num_chains
    chains = functionals[..., : num_states * num_chains].unflatten(-1, (num_states, num_chains)).mT
    infinity = float("inf")
    return {
        "rhat": rank_normalised_rhat(chains).nan_to_num(nan=-infinity, posinf=infinity).amax(1),
        "ess_bulk": bulk_effective_sample_size(chains).nan_to_num(nan=infinity).amin(1),
        "ess_tail": tail_effective_sample_size(chains).nan_to_num(nan=infinity).amin(1),
    }


def _of_images(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    mean = samples.mean(1, keepdim=True)
    return {
        "psnr_mean": psnr(mean, truth.x_true),
        "psnr_sample": psnr(samples, truth.x_true),
        "ssim-g0.5_mean": ssim(mean, truth.x_true),
        "ssim-g0.5_sample": ssim(samples, truth.x_true),
        **({"chi2_sample": _chi2(samples, truth).mean(1)} if Cap.RESIDUAL in truth.problem.caps else {}),
    }


def _chi2(samples: Tensor, truth: Truth) -> Tensor:
    """Reduced chi-square of the data misfit of each sample, `(m, s, *x)` -> `(m, s)`."""
    s = samples.shape[1]
    residual = truth.problem.residual(samples.flatten(0, 1), truth.y.repeat_interleave(s, 0))
    squares = residual.flatten(1).square().sum(1).reshape(-1, s)
    return squares / (truth.problem.sigma_y**2 * truth.problem.num_observed(truth.y)[:, None])


def _of_distances(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    x, s = samples.flatten(2), samples.shape[1]
    return {
        "sw2-128": distances.sliced_wasserstein2(distances.projected(x), truth.projected),
        "energy": distances.energy_distance(x, truth.draws, truth.mean_distance),
        "c2st-energy": distances.two_sample_accuracy(x, truth.draws[:, :s]),
    }


def _of_moments(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    x, mean, std = samples.flatten(2), truth.mean.flatten(1), truth.std.flatten(1)
    variance, exact_variance = x.var(1), std.square().mean(1)
    return {
        "mean_error": (x.mean(1) - mean).square().mean(1).sqrt(),
        "std_error": (variance.sqrt() - std).square().mean(1).sqrt(),
        "std_ratio": (variance.mean(1) / exact_variance).sqrt(),
        "diversity": 2 * variance.mean(1),
        "diversity_ratio": variance.mean(1) / exact_variance,
    }


def _of_calibration(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    x = samples.flatten(2)
    ranks_exact = rank_interval(x, truth.draws)
    ranks_x_true = rank_interval(x, truth.x_true.flatten(1)[:, None])
    return {
        **{f"coverage_exact@{level}": coverage(*ranks_exact, level) for level in LEVELS},
        **{f"coverage_x_true@{level}": coverage(*ranks_x_true, level) for level in (0.5, 0.9)},
    }
