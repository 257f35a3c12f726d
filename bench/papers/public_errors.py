"""`python -m bench.papers.public_errors`: measure the effect of errors in public samplers where the posterior is known.

Each error is put into a sampler that does not have it, on digits of 8 x 8 pixels under the mixture `gmm`, whose
posterior is known in closed form. The samplers with and without it use the same random numbers.
docs/errors-of-public-code.md shows the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.core.registry import build
from bench.core.rng import Rng
from bench.numerics.diffusion import ancestral_step, ddpm_sigmas
from bench.numerics.distances import distances, mean_distance_within
from bench.priors._gmm_fit import fit_gmm
from bench.problems import make_problem
from bench.problems.inverse_problem import InverseProblem
from bench.problems.posteriors import posterior_of
from bench.runtime.job import run

M, S = 16, 64  # measurements, samples of each
NUM_REFERENCE = 256
NUM_PARTICLES = 512
# the defaults of the family gmm but with fewer iterations, so that the fit takes a second
MIXTURE: Any = {"num_components": 20, "shrinkage": 30.0, "floor": 0.002, "num_iterations": 10}
NUM_CANDIDATES = 4
NUM_STEPS, ZETA = 100, 0.4  # of DPS; as the suite default, which has 200 steps of 0.2
SIGMA_Y = 0.1
BOX = ("inpaint-box", {"box": 4})
RANDOM = ("inpaint-random", {"visible_fraction": 0.5})
POOL = ("average-pool", {"factor": 4})


@dataclass(frozen=True)
class Bed:
    """Test digits, float64, and their measurements by an operator, with the mixture as prior."""

    prior: Any
    images: Tensor  # (M, *x)
    operator: tuple[str, dict[str, object]]

    @cached_property
    def problem(self) -> InverseProblem:
        name, parameters = self.operator
        return make_problem(name, parameters, SIGMA_Y, self.prior.shape)

    @cached_property
    def y(self) -> Tensor:
        return self.problem.simulate(self.images, self.rng("y"))

    @cached_property
    def reference(self) -> Tensor:
        return self.posterior(self.problem, self.y, NUM_REFERENCE, "reference")

    def rng(self, name: str, num_samples: int = S) -> Rng:
        return Rng(("public errors", name), range(M), range(num_samples))

    def posterior(
        self, problem: InverseProblem, y: Tensor, num: int, name: str = "draws"
    ) -> Tensor:
        """Draw exactly from the posterior of y under a problem, (M, num, *x)."""
        return posterior_of(self.prior, problem).sample(y, num, self.rng(name, num))

    def energy(self, x: Tensor) -> float:
        """Return the unbiased energy distance to the posterior, mean over measurements."""
        x, draws = x.flatten(2), self.reference.flatten(2)
        within = mean_distance_within(x) + mean_distance_within(draws)
        return (2 * distances(x, draws).mean((1, 2)) - within).mean().item()

    def std_ratio(self, x: Tensor) -> float:
        """Return the standard deviation of pixels over that of the posterior, mean over pixels and measurements."""
        return (x.std(1) / self.reference.std(1)).mean().item()

    def psnr(self, x: Tensor) -> float:
        """Return the PSNR of single samples in dB, mean over samples and measurements."""
        squares = (x - self.images[:, None]).square().flatten(2).mean(2)
        return (10 * (4 / squares).log10()).mean().item()


Wrong = Callable[[Bed], tuple[Tensor, Tensor]]  # samples without the error and with it


def norm_over_batch(bed: Bed) -> tuple[Tensor, Tensor]:
    return dps(bed), dps(bed, norm_dims=(0, 1))


def clipped_denoiser(bed: Bed) -> tuple[Tensor, Tensor]:
    return dps(bed), dps(bed, clips=True)


def best_by_truth(bed: Bed) -> tuple[Tensor, Tensor]:
    several = bed.posterior(bed.problem, bed.y, NUM_CANDIDATES * S).unflatten(
        1, (S, NUM_CANDIDATES)
    )
    best = (several - bed.images[:, None, None]).square().flatten(3).sum(3).argmin(2)
    return several[:, :, 0], several[torch.arange(M)[:, None], torch.arange(S), best]


def constant_noise(bed: Bed) -> tuple[Tensor, Tensor]:
    return _noise_times(bed, 0.2)


def noise_of_unit_images(bed: Bed) -> tuple[Tensor, Tensor]:
    return _noise_times(bed, 0.5)


def images_of_unit_range(bed: Bed) -> tuple[Tensor, Tensor]:
    y = torch.cat([(bed.y[:, :1] + 1) / 2, bed.y[:, 1:]], 1)
    return bed.posterior(bed.problem, bed.y, S), bed.posterior(bed.problem, y, S)


def one_mask(bed: Bed) -> tuple[Tensor, Tensor]:
    y = torch.cat([bed.y[:, :1], bed.y[:1, 1:].expand(M, -1, -1, -1)], 1)
    return bed.posterior(bed.problem, bed.y, S), bed.posterior(bed.problem, y, S)


def weights_dropped(bed: Bed) -> tuple[Tensor, Tensor]:
    """Draw particles from the posterior of twice the noise level; return them resampled by weight, and as drawn."""
    wide = replace(bed.problem, sigma_y=2 * SIGMA_Y)
    particles = bed.posterior(wide, bed.y, NUM_PARTICLES)
    rows, flat = bed.y.repeat_interleave(NUM_PARTICLES, 0), particles.flatten(0, 1)
    log_weights = bed.problem.log_likelihood(flat, rows) - wide.log_likelihood(flat, rows)
    shares = log_weights.view(M, NUM_PARTICLES).softmax(1).cumsum(1)
    chosen = torch.searchsorted(shares, bed.rng("resample").rand((S,))).clamp_max(NUM_PARTICLES - 1)
    return particles[torch.arange(M)[:, None], chosen], particles[:, :S]


def dps(bed: Bed, norm_dims: tuple[int, ...] = (1,), clips: bool = False) -> Tensor:
    """Draw by DPS. norm_dims: (1,): norm of the residual per row, (0, 1): over the batch. clips: D, to [-1, 1]."""
    rows, shape = bed.y.repeat_interleave(S, 0), bed.prior.shape
    sigmas = ddpm_sigmas(NUM_STEPS).flip(0)
    noises = (noise.flatten(0, 1) for noise in bed.rng("dps").per_sample.steps(len(sigmas), shape))
    x = (1 + sigmas[0].square()).sqrt() * next(noises)
    for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
        x.requires_grad_()
        x_0 = bed.prior.denoise(x, sigma)
        x_0 = x_0.clamp(-1, 1) if clips else x_0
        norm = bed.problem.residual(x_0, rows).flatten(1).square().sum(norm_dims).sqrt()
        (gradient,) = torch.autograd.grad(norm.sum(), x)
        # the gradient of the norm is half of what the paper prints
        step = 2 * ZETA * ((1 + sigma.square()) * (1 + sigma_next.square())).sqrt()
        x = ancestral_step(x.detach(), x_0.detach(), sigma, sigma_next, noise) - step * gradient
    return x.unflatten(0, (M, S))


def _noise_times(bed: Bed, factor: float) -> tuple[Tensor, Tensor]:
    wrong = replace(bed.problem, sigma_y=factor * SIGMA_Y)
    return bed.posterior(bed.problem, bed.y, S), bed.posterior(wrong, bed.y, S)


ERRORS: dict[str, tuple[tuple[str, dict[str, object]], Wrong]] = {
    "norm over the batch": (BOX, norm_over_batch),
    "sample chosen by the truth": (BOX, best_by_truth),
    "constant in place of sigma_y": (BOX, constant_noise),
    "sigma_y of images on [0, 1]": (BOX, noise_of_unit_images),
    "y on [0, 1], images on [-1, 1]": (BOX, images_of_unit_range),
    "weights of particles dropped": (POOL, weights_dropped),
    "one mask for the batch": (RANDOM, one_mask),
    "denoised image clipped": (BOX, clipped_denoiser),
}


@dataclass(frozen=True)
class Effect:
    """The numbers of a sampler without an error and with it."""

    error: str
    energy: tuple[float, float]
    std_ratio: tuple[float, float]
    psnr: tuple[float, float]

    def __str__(self) -> str:
        pairs = zip((self.energy, self.std_ratio, self.psnr), ("3f", "2f", "1f"), strict=True)
        numbers = (f"{right:.{digits}} | {wrong:.{digits}}" for (right, wrong), digits in pairs)
        return f"| {self.error} | {' | '.join(numbers)} |"


def digits() -> tuple[Any, Tensor]:
    """Return the mixture that is fitted to digits, and M test images."""
    data = build("dataset", "digits", {}).load()
    return fit_gmm(data["train"], **MIXTURE), data["test"][:M].double()


def effects(names: tuple[str, ...] = tuple(ERRORS)) -> Iterator[Effect]:
    """Yield the effect of each error."""
    prior, images = digits()
    for name in names:
        operator, wrong = ERRORS[name]
        bed = Bed(prior, images, operator)
        pair = wrong(bed)
        numbers = (tuple(map(number, pair)) for number in (bed.energy, bed.std_ratio, bed.psnr))
        yield Effect(name, *numbers)  # pyright: ignore[reportArgumentType] (pairs)


def main() -> None:
    """Print a line of the table for each error."""
    for effect in effects():
        print(effect, flush=True)


if __name__ == "__main__":
    run(main)
