"""guided-diffusion's files as denoisers: the mean of DDPM's step, without the learned variance."""

from __future__ import annotations

import pytest
import torch
from helpers.guided_unet import SMALL, reference
from helpers.learned_priors import normal

from bench.priors.adapters.adm import ADM
from bench.priors.adapters.architectures import Architecture

LABEL = 2
LEARNED = Architecture(**SMALL | {"out_channels": 6, "num_classes": 3})


def abar(schedule: str, num_timesteps: int) -> torch.Tensor:
    """The share of the image's variance after each step, by guided-diffusion's two rules, (num_timesteps,)."""
    if schedule == "linear":
        scale = 1000 / num_timesteps
        beta = torch.linspace(scale * 1e-4, scale * 0.02, num_timesteps, dtype=torch.float64)
    else:
        t = torch.arange(num_timesteps + 1, dtype=torch.float64) / num_timesteps
        left = ((t + 0.008) / 1.008 * torch.pi / 2).cos().square()
        beta = (1 - left[1:] / left[:-1]).clamp_max(0.999)
    return (1 - beta).cumprod(0)


@pytest.mark.parametrize(("schedule", "num"), [("linear", 1000), ("linear", 500), ("cosine", 1000)])
def test_the_denoiser_is_the_predicted_image(schedule, num):
    original = reference(LEARNED)
    denoiser = ADM.opened(original.state_dict(), LEARNED, LABEL, "net.pt", schedule, num)
    for i in (0, num // 10, num // 2):
        left = abar(schedule, num)[i]
        x_i = normal(2, 3, 8, 8, seed=i, dtype=torch.float32)
        with torch.no_grad():
            output = original(x_i, torch.full((2,), i), torch.full((2,), LABEL))
            eps = output[:, :3].double()
            expected = ((x_i - (1 - left).sqrt() * eps) / left.sqrt()).float()
            sigma = ((1 - left) / left).sqrt()
            x_t = (x_i / left.sqrt()).float()
            found = denoiser(x_t, sigma.float())
            score = denoiser.score(x_t, sigma.float())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(sigma * score, -eps, rtol=1e-5, atol=1e-5, check_dtype=False)


def test_the_variance_is_not_taken_for_the_mean():
    tensors = reference(LEARNED).state_dict()
    changed = dict(tensors)
    for name in ("out.2.weight", "out.2.bias"):
        changed[name] = tensors[name].clone()
        changed[name][3:] += 1.0
    x, sigma = normal(2, 3, 8, 8, dtype=torch.float32), torch.tensor(0.5)
    denoised = [ADM.opened(t, LEARNED, LABEL)(x, sigma) for t in (tensors, changed)]
    assert torch.equal(*denoised)


def test_noise_levels_reach_from_the_first_step_to_the_last():
    low, high = ADM.opened(reference(LEARNED).state_dict(), LEARNED, LABEL).sigma_range
    levels = ((1 - abar("linear", 1000)) / abar("linear", 1000)).sqrt()
    assert low == pytest.approx(levels[0].item(), rel=1e-3)  # 1 - abar = 1e-4 in float32
    assert high == pytest.approx(levels[-1].item(), rel=1e-3)
