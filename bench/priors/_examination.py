"""Check whether a denoiser follows our conventions, by facts that hold for every denoiser that is opened correctly.

A wrong sign or scale, a wrong time, images in [0, 1] or the variance in place of the mean fail at least one fact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.numerics.diffusion import heun_step

ROWS = 4
MOST_SLOPE = (
    3.0  # of (x_t - D) / sigma at the lowest noise level: an estimate of eps, of size one or less
)
MOST_NOISE = 0.01  # share of the noise that is left in D at the highest level
MOST_MEAN = 1.0  # of D at the highest level, where it is the mean of images in [-1, 1]
MOST_SCORE = 1e-3  # relative difference of two formulas in float32
MOST_WAY = 0.05  # error of the ODE down and up again, relative to its highest noise level
MOST_KNOWN = (
    0.2  # correlation; for a network called at half or twice the noise level it is 0.3 to 0.6
)
MIDDLE = 0.5  # a noise level, data units
WAY_FROM, WAY_STEPS = 1.0, 6  # data units; Heun's steps each way


class Denoising(Protocol):
    """The part of a prior that denoises."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def sigma_range(self) -> tuple[float, float]: ...
    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor: ...  # (n, *x), () -> (n, *x)


def examined(prior: Denoising, images: Tensor | None = None) -> Json:
    """Return each fact with its value, its limit and whether it holds.

    images: (N, *x), from the distribution of the prior, for the one fact that needs them; None leaves it out.
    """
    with torch.no_grad():
        facts = {name: fact(prior) for name, fact in FACTS.items()}
        if images is not None:
            facts[OF_IMAGES] = leaves_no_known_error(prior, images)
    return {
        name: {"value": value, "limit": limit, "holds": value <= limit}
        for name, (value, limit) in facts.items()
    }


def report(findings: Json) -> list[str]:
    """Return a line for each fact."""
    return [
        f"{'ok' if found['holds'] else 'FAIL':5}{name}: {found['value']:.3g} (at most {found['limit']:g})"
        for name, found in findings.items()
    ]


def keeps_what_has_no_noise(prior: Denoising) -> tuple[float, float]:
    """Return the size of (x_t - D) / sigma at the lowest noise level, root mean square."""
    sigma = torch.tensor(prior.sigma_range[0])
    x_t = 0.5 * _noise(prior, "images").tanh() + sigma * _noise(prior, "low")
    return _rms((x_t - prior.denoise(x_t, sigma)) / sigma), MOST_SLOPE


def forgets_noise(prior: Denoising) -> tuple[float, float]:
    """Return the spread of D over several noises of the highest level, as a share of the level."""
    sigma = torch.tensor(prior.sigma_range[1])
    denoised = prior.denoise(sigma * _noise(prior, "high"), sigma)
    return _rms(denoised - denoised.mean(0)) / sigma.item(), MOST_NOISE


def gives_the_mean(prior: Denoising) -> tuple[float, float]:
    """Return the size of the mean of D over pixels and noises of the highest level, root mean square over channels."""
    sigma = torch.tensor(prior.sigma_range[1])
    return _rms(prior.denoise(sigma * _noise(prior, "high"), sigma).mean((0, 2, 3))), MOST_MEAN


def agrees_with_score(prior: Denoising) -> tuple[float, float]:
    """Return the relative difference of (D - x_t) / sigma^2 from the prior's own score; 0 where it has none."""
    score: Callable[[Tensor, Tensor], Tensor] | None = getattr(prior, "score", None)
    if score is None:
        return 0.0, MOST_SCORE
    sigma = torch.tensor(MIDDLE)
    x_t = sigma * _noise(prior, "score")
    expected = score(x_t, sigma)
    found = (prior.denoise(x_t, sigma) - x_t) / sigma.square()
    return _rms(found - expected) / max(_rms(expected), 1e-12), MOST_SCORE


def comes_back(prior: Denoising) -> tuple[float, float]:
    """Return the error of following the probability-flow ODE down and up again, as a share of the highest level."""
    low, high = prior.sigma_range
    top = min(WAY_FROM, high)
    levels = torch.linspace(top ** (1 / 7), max(low, 0.02) ** (1 / 7), WAY_STEPS + 1) ** 7
    start = top * _noise(prior, "way")[:1]
    x = start
    for way in (levels, levels.flip(0)):  # down first, since errors shrink on the way up
        for sigma, sigma_next in zip(way[:-1], way[1:], strict=True):
            x = heun_step(prior.denoise, x, sigma, sigma_next)
    return _rms(x - start) / top, MOST_WAY


def leaves_no_known_error(prior: Denoising, images: Tensor) -> tuple[float, float]:
    """Return the correlation of x - D with x_t - D, which is 0: the error of E[x | x_t] is uncorrelated with x_t."""
    x, sigma = images[:ROWS].float(), torch.tensor(MIDDLE)
    x_t = x + sigma * _noise(prior, "images")[: len(x)]
    denoised = prior.denoise(x_t, sigma)
    error, shown = x - denoised, x_t - denoised
    return abs((error * shown).mean().item()) / (_rms(error) * _rms(shown)), MOST_KNOWN


FACTS: dict[str, Callable[[Denoising], tuple[float, float]]] = {
    "noise seen at the lowest level": keeps_what_has_no_noise,
    "noise left at the highest level": forgets_noise,
    "mean at the highest level": gives_the_mean,
    "difference of score and denoiser": agrees_with_score,
    "error of the way down and up the ODE": comes_back,
}
OF_IMAGES = "error that the noisy image shows"


def _noise(prior: Denoising, name: str) -> Tensor:
    return Rng(("examination", name), (0,), dtype=torch.float32).randn((ROWS, *prior.shape))[0]


def _rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()
