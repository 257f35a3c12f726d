"""The card of a learned diffusion model: errors on images, compared with its teacher's, and bits per dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Cap, Prior
from bench.numerics.flow_likelihood import flow_log_prob
from bench.priors._card import BITS_ARE_OF, bits_per_dimension, denoiser_errors, noise_of
from bench.runtime.progress import progress

SIGMAS = (0.02, 0.1, 0.5, 2.0, 10.0)  # noise levels of the errors
PARTS = ("train", "validation", "test")
MOST_IMAGES, MOST_NUMBERS = 1000, 2**20  # of each part, for the errors of the denoiser
MOST_OF_CHECKPOINT = 64  # images of each part for a network from a checkpoint, which may be large
ROWS_AT_ONCE = 64
ODE_STEPS = 24  # of the density, Runge-Kutta of order 4: its error is 1e-3 bits per dimension


class Denoising(Protocol):
    """The part of a prior that denoises."""

    @property
    def sigma_range(self) -> tuple[float, float]: ...
    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor: ...  # (n, *x), () -> (n, *x)


def learned_card(
    prior: Denoising,
    images: Mapping[str, Tensor],
    teacher: Prior | None,
    num_for_bits: int,
    most_images: int = MOST_IMAGES,
) -> Json:
    """Return the card of a prior, computed on the first images of each part; the images are draws of the teacher.

    The relative error of the score is |s - s*| / |s*|; both norms are root mean squares over images of noise level
    sigma.
    """
    first = {part: few(images[part], most_images) for part in PARTS if part in images}
    card: Json = {"denoiser_rms_error": errors_of(prior, first)}
    if teacher is not None and Cap.DENOISER in teacher.caps:
        card["denoiser_rms_error_of_teacher"] = errors_of(teacher, first)
        card["relative_error_of_score"] = score_errors(prior, teacher, first["test"])
    if num_for_bits:
        parts = {part: x[:num_for_bits] for part, x in first.items()}
        card |= {"bits_per_dimension": bits_of(prior, parts), "bits_are_of": BITS_ARE_OF}
        if teacher is not None and Cap.DENSITY in teacher.caps:
            card["bits_per_dimension_of_teacher"] = {
                part: bits_per_dimension(teacher.log_prob(x.double()), x[0].numel())
                for part, x in parts.items()
            }
    return card


def few(x: Tensor, most: int) -> Tensor:
    """Return the first images, at most `most`, and fewer if they are large."""
    return x[: min(most, max(1, MOST_NUMBERS // x[0].numel()))].float()


def errors_of(prior: Denoising, images: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Return the denoiser's root mean square error by part and noise level."""

    def denoise(x_t: Tensor, sigma: Tensor) -> Tensor:
        parts = x_t.double().split(ROWS_AT_ONCE)  # priors without a network are float64 here
        return torch.cat([prior.denoise(rows, sigma.double()) for rows in parts])

    errors: dict[str, dict[str, float]] = {part: {} for part in images}
    cells = [(part, sigma) for part in images for sigma in SIGMAS]
    for part, sigma in progress(cells, what="errors of the denoiser"):
        errors[part] |= denoiser_errors(denoise, images[part], (sigma,))
    return errors


def score_errors(prior: Denoising, teacher: Denoising, x: Tensor) -> dict[str, float]:
    """Return the relative error of the score against the teacher's on images x (N, *x), by noise level."""
    errors = {}
    for value in SIGMAS:
        sigma, x_t = torch.tensor(value), x + noise_of(value, x)
        error, size = 0.0, 0.0
        for rows in x_t.double().split(ROWS_AT_ONCE):
            exact = teacher.denoise(rows, sigma.double())
            error += (prior.denoise(rows, sigma.double()) - exact).square().sum().item()
            size += (exact - rows).square().sum().item()
        errors[f"{value:g}"] = (error / size) ** 0.5
    return errors


def bits_of(prior: Denoising, images: Mapping[str, Tensor]) -> dict[str, float]:
    """Return bits per dimension by the probability-flow ODE, with the divergence estimated by one probe per image."""

    def log_probs(part: str, x: Tensor) -> Iterator[Tensor]:
        signs = 2.0 * Rng(("card", "probe", part), (0,)).randint(2, tuple(x.shape))[0].to(x) - 1
        pairs = list(zip(x.split(ROWS_AT_ONCE), signs.split(ROWS_AT_ONCE), strict=True))
        for rows, probe in progress(pairs, what=f"bits per dimension, {part}"):
            yield flow_log_prob(prior.denoise, rows, prior.sigma_range, ODE_STEPS, probe)

    return {
        part: bits_per_dimension(torch.cat([*log_probs(part, x)]), x[0].numel())
        for part, x in images.items()
    }
