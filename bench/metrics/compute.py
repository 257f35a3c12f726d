"""All metrics of the samples of m measurements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from bench.core.types import Cap, Operator
from bench.metrics.calibration import coverage, mean_rank, rank_interval, share_below, spread_of_ranks, to_points
from bench.metrics.checks import NUM_RANKED
from bench.metrics.images import psnr, ssim
from bench.metrics.metric import LEVELS
from bench.metrics.predictive import largest_exceeded, squares_exceeded
from bench.metrics.spread import Axes, axes_of, of_clusters, over, resolution_of, why_no_split
from bench.numerics import distances
from bench.numerics.diagnostics import bulk_effective_sample_size, rank_normalised_rhat, tail_effective_sample_size

NUM_DIRECTIONS = 3
NUM_DRAWS_FOR_DIRECTIONS = 128


class Misfit(Protocol):
    """The part of a problem that metrics use, row by row; a reward (no RESIDUAL in `caps`) has its likelihood alone."""

    caps: Cap
    sigma_y: float
    operator: Operator  # asked for only where it is linear

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
    def misfits(self) -> Tensor:
        """Minus log likelihoods of the exact draws, `(m, e, 1)`."""
        return _misfits(self.exact, self)

    @cached_property
    def misfits_of_x_true(self) -> Tensor:
        return _misfits(self.x_true[:, None], self)

    @cached_property
    def distances_to_points(self) -> Tensor:
        return to_points(self.draws)

    @cached_property
    def axes(self) -> Axes | None:
        """Of a linear operator; None where images are not split."""
        if why_no_split(self.problem.caps, self.draws.shape[2]):
            return None
        return axes_of(self.problem, self.y, tuple(self.x_true.shape[1:]))

    @cached_property
    def split(self) -> tuple[Tensor, Tensor]:
        """Variances of the exact draws along its axes."""
        return self.axes.variances(self.draws)

    def in_blocks(self, num: int) -> dict[str, Tensor]:
        """What depends on the number of samples, of exact draws in blocks of `num`: means over the blocks, `(m,)`."""
        if num not in self._by_size:
            blocks = [of_clusters(block) for block in self.draws.split(num, 1) if block.shape[1] == num]
            self._by_size[num] = {id: torch.stack([block[id] for block in blocks]).mean(0) for id in blocks[0]}
        return self._by_size[num]

    @cached_property
    def _by_size(self) -> dict[int, dict[str, Tensor]]:
        return {}

    @cached_property
    def principal_directions(self) -> Tensor:
        """Leading right singular vectors of some centred exact draws, `(m, D, 3)`."""
        some = self.draws[:, :NUM_DRAWS_FOR_DIRECTIONS]
        return torch.linalg.svd(some - some.mean(1, keepdim=True), full_matrices=False).Vh[:, :NUM_DIRECTIONS].mT


def compute(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    """What samples tell by themselves and against exact draws, `(m, s, *x)` -> spec id -> `(m,)`.

    In the order of `definitions.METRICS`; without what needs a residual or a linear operator where there is none.
    """
    return {
        **_of_images(samples, truth),
        **_of_distances(samples, truth),
        **_of_moments(samples, truth),
        **_of_spread(samples, truth),
        **_of_calibration(samples, truth),
        **_of_ranks(samples, truth),
    }


def compute_pooled(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    """Shares of measurements that have one case each, `(m, s, *x)` -> spec id -> probability of that case, `(m,)`."""
    tarp = rank_interval(to_points(samples.flatten(2)), to_points(truth.x_true.flatten(1)[:, None]))
    misfit = rank_interval(_misfits(samples, truth), truth.misfits_of_x_true)
    named = {"tarp": tarp, "sbc-misfit": misfit}
    return {f"{name}_x_true@{level}": share_below(*ranks, level) for name, ranks in named.items() for level in LEVELS}


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
        **(_of_residuals(samples, truth) if Cap.RESIDUAL in truth.problem.caps else {}),
    }


def _of_residuals(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    s, num = samples.shape[1], truth.problem.num_observed(truth.y)
    residual = truth.problem.residual(samples.flatten(0, 1), truth.y.repeat_interleave(s, 0))
    white = residual.flatten(1).unflatten(0, (-1, s)) / truth.problem.sigma_y
    return {
        "chi2_sample": white.square().sum(2).mean(1) / num,
        "ppc-chi2": squares_exceeded(white, num).mean(1),
        "ppc-max": largest_exceeded(white, num).mean(1),
    }


def _misfits(samples: Tensor, truth: Truth) -> Tensor:
    """Minus log likelihoods, `(m, s, *x)` -> `(m, s, 1)`."""
    s = samples.shape[1]
    log_likelihood = truth.problem.log_likelihood(samples.flatten(0, 1), truth.y.repeat_interleave(s, 0))
    return -log_likelihood.unflatten(0, (-1, s))[..., None]


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


def _of_spread(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    x = samples.flatten(2)
    smallest = resolution_of(x.shape[2])
    pairwise, own, exact = distances.mean_distance_within(x), of_clusters(x), truth.in_blocks(x.shape[1])
    found = {"pairwise-pixels": pairwise, "pairwise-pixels_ratio": over(pairwise, truth.mean_distance, smallest)}
    for id, values in own.items():
        found |= {id: values, f"{id}_ratio": values / exact[id]}
    if truth.axes is None:
        return found
    parts = dict(zip(("null", "range"), zip(truth.axes.variances(x), truth.split, strict=True), strict=True))
    found |= {f"diversity_{part}": 2 * variance for part, (variance, _) in parts.items()}
    ratios = {f"diversity_{part}_ratio": over(*both, distances.RESOLUTION**2) for part, both in parts.items()}
    return found | ratios


def _of_calibration(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    x = samples.flatten(2)
    ranks_exact = rank_interval(x, truth.draws)
    ranks_x_true = rank_interval(x, truth.x_true.flatten(1)[:, None])
    return {
        **{f"coverage_exact@{level}": coverage(*ranks_exact, level) for level in LEVELS},
        **{f"coverage_x_true@{level}": coverage(*ranks_x_true, level) for level in (0.5, 0.9)},
    }


def _of_ranks(samples: Tensor, truth: Truth) -> dict[str, Tensor]:
    x = samples.flatten(2)
    along = x @ distances.directions(x.shape[2])[:, :NUM_RANKED].to(x)
    ranks = rank_interval(along, truth.projected[:, :NUM_RANKED].mT)
    misfit = rank_interval(_misfits(samples, truth), truth.misfits)
    tarp = rank_interval(to_points(x), truth.distances_to_points)
    return {
        "sbc_spread_exact": spread_of_ranks(*ranks),
        "sbc-misfit_exact": 1 - mean_rank(*misfit),
        "tarp_exact": 1 - mean_rank(*tarp),
    }
