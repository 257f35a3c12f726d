"""Stand-ins of a rehearsal: images of every data set that has files, and narrow pipelines in diffusers' format."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import UserError
from bench.core.registry import build
from bench.papers.stand_ins import PIPELINES, write_images, write_pipeline_of
from bench.priors.adapters.diffusers import open_pipeline


@pytest.mark.parametrize("plugin", ["ffhq", "lsun", "imagenet", "celeba", "cifar10", "folder"])
def test_images_are_found_where_the_parameters_say(plugin, tmp_path):
    parameters = write_images(plugin, tmp_path)
    size = {} if plugin == "cifar10" else {"side": 16, "resize": "bilinear"}
    data = build("dataset", plugin, parameters | size).load()
    assert len(data["test"]) >= 2 and data["test"].shape[-1] == (32 if plugin == "cifar10" else 16)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_narrow_pipeline_opens_like_the_published_one(name, tmp_path):
    folder = write_pipeline_of(f"owner/{name}", 16, tmp_path)
    label = 0 if "imagenet" in name else None
    pipeline = open_pipeline(folder, label)
    assert pipeline.shape == (3, 16, 16)
    widths = pipeline.unet.config.block_out_channels
    assert (
        widths[0] == 8 and widths[-1] / widths[0] == PIPELINES[name][1][-1] / PIPELINES[name][1][0]
    )
    x = torch.zeros(1, 3, 16, 16)
    assert pipeline.predict(x, torch.tensor(5.0)).isfinite().all()


def test_an_unknown_network_has_no_stand_in(tmp_path):
    with pytest.raises(UserError, match="owner/other: no stand-in for its network; expected one"):
        write_pipeline_of("owner/other", None, tmp_path)
