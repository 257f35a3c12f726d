"""The examination of a denoiser: an exact one passes, and every common error in opening one fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.core.registry import build
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.priors._examination import FACTS, OF_IMAGES, examined, report

SHAPE = (1, 4, 4)
Denoiser = Callable[[Tensor, Tensor], Tensor]


def exact() -> Prior:
    """Two Gaussians, one dark and one bright."""
    means = torch.stack([torch.full(SHAPE, -0.4), torch.full(SHAPE, 0.5)])
    tensors = {
        "weights": torch.full((2,), 0.5),
        "means": means,
        "covariances": 0.04 * torch.eye(16).expand(2, 16, 16).clone(),
    }
    return build("prior", "gmm", {}).load(tensors, Path(), None)


@dataclass(frozen=True)
class Other:
    """A denoiser made of the exact one by an error."""

    denoise: Denoiser
    score: Denoiser
    shape: tuple[int, ...] = SHAPE
    sigma_range: tuple[float, float] = (0.002, 80.0)


def right_score(prior: Prior) -> Denoiser:
    return lambda x, sigma: (prior.denoise(x, sigma) - x) / sigma**2


def test_an_exact_denoiser_passes():
    findings = examined(exact())
    assert list(findings) == list(FACTS)
    assert all(found["holds"] for found in findings.values()), report(findings)
    assert all(line.startswith("ok") for line in report(findings))


def images(num: int = 4) -> Tensor:
    """Draws of the exact prior."""
    return exact().sample(num, Rng(("test", "images"), (0,), dtype=torch.float32))[0]


def test_an_exact_denoiser_errs_in_no_way_that_the_noisy_image_shows():
    found = examined(exact(), images())[OF_IMAGES]
    assert found["holds"], found


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_noise_level_shows_on_images(factor):
    prior = exact()
    other = Other(lambda x, sigma: prior.denoise(x, factor * sigma), right_score(prior))
    assert not examined(other, images())[OF_IMAGES]["holds"]


def test_a_score_that_agrees_passes():
    prior = exact()
    assert examined(Other(prior.denoise, right_score(prior)))["difference of score and denoiser"][
        "holds"
    ]


ERRORS: dict[str, Callable[[Denoiser], Denoiser]] = {
    "the sign of the noise": lambda d: lambda x, s: 2 * x - d(x, s),
    "x_i in place of x_t": lambda d: lambda x, s: d(x / (1 + s**2).sqrt(), s),
    "images in [0, 1]": lambda d: lambda x, s: (d(x, s) + 1) / 2,
    "the noise, not scaled": lambda d: lambda x, s: x - (x - d(x, s)) / s,
    "the noise for the image": lambda d: lambda x, s: (x - d(x, s)) / s,
    "the variance for the mean": lambda d: lambda x, s: x - s * (x - d(x, s)).abs() / s,
    "half of the noise level": lambda d: lambda x, s: d(x, s / 2),
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_common_error_fails(error):
    prior = exact()
    denoise = ERRORS[error](prior.denoise)
    findings = examined(Other(denoise, right_score(prior)))
    assert not all(found["holds"] for found in findings.values())
    assert "FAIL" in "\n".join(report(findings))
