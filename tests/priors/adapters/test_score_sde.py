"""Score-SDE's networks in the diffusers format: their score in [0, 1] as a denoiser in our units."""

from __future__ import annotations

import pytest
import torch
from helpers.learned_priors import normal

from bench.core.errors import UserError
from bench.priors.adapters.diffusers import Pipeline, open_pipeline, scheduler_of, write_pipeline
from bench.priors.adapters.score_sde import SCORE_SDE, ScoreSDE
from bench.priors.score_sde import random_pipeline


@pytest.mark.parametrize("units", [2.0, 1.0])
@pytest.mark.parametrize("sigma", [0.05, 1.0, 15.0])
def test_the_denoiser_is_tweedies_on_the_networks_own_images(tmp_path, units, sigma):
    made = random_pipeline(8, (8, 16))
    write_pipeline(tmp_path, made)
    denoiser = ScoreSDE(open_pipeline(tmp_path), units)
    x_t = sigma * normal(2, 3, 8, 8, dtype=torch.float32)
    theirs = (x_t + 1) / 2 if units == 2 else x_t
    level = torch.full((2,), sigma / units)
    with torch.no_grad():
        score = made.unet(theirs, level).sample  # as in diffusers' ScoreSdeVePipeline
        image = theirs + (sigma / units) ** 2 * score
        expected = 2 * image - 1 if units == 2 else image
        found = denoiser(x_t, torch.tensor(sigma))
    # float32: the network's output is divided by the level, and multiplied by its square
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * max(1.0, sigma))


def test_noise_levels_are_in_our_units():
    low, high = ScoreSDE(random_pipeline(8, (8, 16))).sigma_range
    assert (low, high) == (0.02, 20.0)
    assert ScoreSDE(random_pipeline(8, (8, 16)), 1.0).sigma_range == (0.01, 10.0)


def test_folders_whose_network_is_called_model_open_too(tmp_path):
    write_pipeline(tmp_path, random_pipeline(8, (8, 16)))
    (tmp_path / "unet").rename(tmp_path / "model")
    index = tmp_path / "model_index.json"
    index.write_text(index.read_text().replace('"unet"', '"model"'))
    assert open_pipeline(tmp_path).kind == SCORE_SDE


def test_other_schedulers_are_refused():
    other = Pipeline(random_pipeline(8, (8, 16)).unet, scheduler_of("DDPMScheduler", {}))
    with pytest.raises(UserError, match="DDPMScheduler: expected ScoreSdeVeScheduler; family edm"):
        ScoreSDE(other)
