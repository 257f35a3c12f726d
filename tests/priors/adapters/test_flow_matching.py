"""torchcfm's velocities as denoisers and decoders: on the original network, and exactly on a known distribution."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from helpers.guided_unet import SMALL, reference
from helpers.learned_priors import normal
from torch import Tensor

from bench.priors.adapters.architectures import Architecture
from bench.priors.adapters.flow_matching import FlowMatching

TORCHCFM = Architecture(**SMALL | {"block_resampling": False, "scale_shift": False})


def of_normal(mean: float, scale: float) -> FlowMatching:
    """The flow of images N(mean, scale^2), whose velocity is known: E[x - z | u] of two normal variables."""

    def predict(u: Tensor, t: Tensor) -> Tensor:
        t = t.view(-1, 1, 1, 1)
        variance = (1 - t) ** 2 + (t * scale) ** 2
        slope = (t * scale**2 - (1 - t)) / variance
        return mean + slope * (u - t * mean)

    return FlowMatching(cast(Any, SimpleNamespace(predict=predict)))


@pytest.mark.parametrize("sigma", [0.01, 0.5, 3.0, 100.0])
def test_the_denoiser_is_the_end_of_the_straight_path(sigma):
    original = reference(TORCHCFM)
    denoiser = FlowMatching.opened(original.state_dict(), TORCHCFM)
    x_t = sigma * normal(2, 3, 8, 8, dtype=torch.float32)
    t = 1 / (1 + sigma)
    u = t * x_t
    with torch.no_grad():
        expected = u + (1 - t) * original(u, torch.full((2,), t))
        found = denoiser(x_t, torch.tensor(sigma).expand(2))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.02, 1.0, 20.0])
def test_denoiser_and_score_of_a_normal_distribution_are_exact(sigma):
    mean, scale = 0.3, 0.4
    x_t = mean + (scale**2 + sigma**2) ** 0.5 * normal(5, 3, 4, 4)
    flow, level = of_normal(mean, scale), torch.tensor(sigma, dtype=torch.float64)
    share = scale**2 / (scale**2 + sigma**2)
    torch.testing.assert_close(flow(x_t, level), mean + share * (x_t - mean))
    torch.testing.assert_close(flow.score(x_t, level), -(x_t - mean) / (scale**2 + sigma**2))


def test_the_decoder_of_a_normal_distribution_is_the_linear_map():
    mean, scale = 0.3, 0.4
    z = normal(5, 3, 4, 4)
    # the flow of a normal law is z -> mean + scale z; the midpoint rule errs by h^2, Euler's by h
    for solver, error in (("midpoint", 1e-4), ("euler", 2e-2)):
        x = of_normal(mean, scale).flow(z, 100, solver)
        torch.testing.assert_close(x, mean + scale * z, rtol=0, atol=error)


def test_euler_steps_are_those_of_the_original():
    original = reference(TORCHCFM)
    x = z = normal(2, 3, 8, 8, dtype=torch.float32)
    with torch.no_grad():
        for i in range(4):
            x = x + original(x, torch.full((2,), i / 4)) / 4
        found = FlowMatching.opened(original.state_dict(), TORCHCFM).flow(z, 4, "euler")
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5)
