"""Public architectures with random weights: as many parameters as published, and the path of a timing suite."""

from __future__ import annotations

import pytest
import torch

from bench.cli import UserError
from bench.devices import networks_of
from bench.priors import untrained
from bench.priors.networks import num_parameters
from bench.priors.untrained import ARCHITECTURES, Settings, outline

# the consistency models' are those of the files on the hub (openai/diffusers-cd_bedroom256_l2 and -cd_imagenet64_l2); of
# ADM's what is said is 93.6 (the DPS paper's checkpoint) and 552.8 million (guided-diffusion, 256 x 256, unconditional)
PUBLISHED = {
    "adm-ffhq-256": 93_563_910,
    "adm-imagenet-256": 552_814_086,
    "consistency-lsun-256": 526_304_771,
    "consistency-imagenet-64": 295_899_267,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_as_many_as_published(name):
    network = outline(Settings(name))
    assert num_parameters(network) == PUBLISHED[name] and not list(network.buffers())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_narrow_one_denoises_and_decodes(name):
    settings = Settings(name, width=0.125, side=32)
    prior = untrained.load({}, settings, None, None)
    assert len(networks_of(prior)) == 1 and prior.decode_nfe == 1
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for image in (prior.denoise(x, torch.tensor(0.5)), prior.decode(x)):
        assert image.shape == x.shape and image.dtype == x.dtype and image.isfinite().all() and image.std() > 0
    again = untrained.load({}, settings, None, None)
    assert torch.equal(again.decode(x), prior.decode(x))


def test_what_is_no_architecture_is_told():
    with pytest.raises(ValueError, match="architecture: expected one of adm-ffhq-256"):
        Settings("adm")
    with pytest.raises(ValueError, match="width: expected a share that leaves a multiple of 8 channels, got 0.01"):
        Settings("adm-ffhq-256", width=0.01)
    with pytest.raises(ValueError, match="side: expected a multiple of 32 pixels, got 48"):
        Settings("adm-ffhq-256", side=48)
    with pytest.raises(UserError, match="is for 256 pixels, and the images have 8; set side"):
        untrained.fit({"train": torch.zeros(1, 3, 8, 8)}, Settings("adm-ffhq-256"), None, None)
