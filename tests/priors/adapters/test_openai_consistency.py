"""OpenAI's consistency models and EDM models: their preconditioning, on the original network."""

from __future__ import annotations

import pytest
import torch
from helpers.guided_unet import SMALL, reference
from helpers.learned_priors import normal
from torch import Tensor

from bench.priors.adapters.architectures import Architecture
from bench.priors.adapters.openai_consistency import OpenAIConsistency, OpenAIEDM

CLASSES = Architecture(**SMALL | {"qkv": "by_kind", "num_classes": 3})
LABEL, DATA, LOWEST = 2, 0.5, 0.002


NETWORK = reference(CLASSES, conv_dims=2)


def original(x_t: Tensor, sigma: float, is_distilled: bool) -> Tensor:
    """What their code makes of its network: EDM's coefficients, or those that are the identity at the lowest level."""
    start = LOWEST if is_distilled else 0.0
    c_skip = DATA**2 / ((sigma - start) ** 2 + DATA**2)
    c_out = (sigma - start) * DATA / (sigma**2 + DATA**2) ** 0.5
    c_in = 1 / (sigma**2 + DATA**2) ** 0.5
    time = 1000 * 0.25 * torch.log(torch.full((len(x_t),), sigma) + 1e-44)
    with torch.no_grad():
        return c_out * NETWORK(c_in * x_t, time, torch.full((len(x_t),), LABEL)) + c_skip * x_t


def test_both_give_what_the_original_gives():
    tensors = NETWORK.state_dict()
    map_ = OpenAIConsistency.opened(tensors, CLASSES, LABEL, clip_denoised=False)
    clipped = OpenAIConsistency.opened(tensors, CLASSES, LABEL)
    edm = OpenAIEDM.opened(tensors, CLASSES, LABEL)
    for sigma in (0.002, 0.1, 1.0, 80.0):
        x_t = sigma * normal(2, 3, 8, 8, dtype=torch.float32)
        level = torch.tensor(sigma)
        expected, others = original(x_t, sigma, True), original(x_t, sigma, False)
        with torch.no_grad():
            found = map_(x_t, level), clipped(x_t, level.expand(2)), edm(x_t, level)
        for ours, theirs in zip(found, (expected, expected.clamp(-1, 1), others), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("calls", [(0, 19), (0, 22)])
def test_two_steps_are_at_the_levels_that_are_asked_for(calls):
    tensors = NETWORK.state_dict()
    map_ = OpenAIConsistency.opened(tensors, CLASSES, LABEL, calls=calls)
    z, fresh = normal(2, 3, 8, 8, dtype=torch.float32), normal(2, 2, 3, 8, 8, dtype=torch.float32)
    first, second = (
        (80 ** (1 / 7) + number / 39 * (LOWEST ** (1 / 7) - 80 ** (1 / 7))) ** 7 for number in calls
    )
    assert first == pytest.approx(80)
    with torch.no_grad():
        x = original(80 * z, first, True).clamp(-1, 1)
        x_t = x + (second**2 - LOWEST**2) ** 0.5 * fresh[0]
        expected = original(x_t, second, True).clamp(-1, 1)
        torch.testing.assert_close(map_.multistep(z, fresh), expected, rtol=0, atol=1e-5)


def test_one_step_starts_at_the_highest_level():
    tensors = NETWORK.state_dict()
    map_ = OpenAIConsistency.opened(tensors, CLASSES, LABEL)
    z = normal(2, 3, 8, 8, dtype=torch.float32)
    with torch.no_grad():
        expected = original(80 * z, 80.0, True).clamp(-1, 1)
        torch.testing.assert_close(map_.multistep(z, None), expected, rtol=0, atol=1e-5)
