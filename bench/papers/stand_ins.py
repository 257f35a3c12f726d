"""Stand-ins for the files that a rehearsal lacks: artificial images, and narrow checkpoints with random weights.

Only checkpoints in the diffusers format need files. The families of other formats open `weights: random`, which pass
through the foreign format like any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.registry import load
from bench.papers.protocols import name_of_weights

# the parameters of a data set that name its files or count them
FILES = ("path", "names", "split", "num_train", "num_validation", "num_test")
SIXTEENTH = 16  # channels of the published network over those of a stand-in, which has at least 8
# fields of published pipelines in diffusers' own UNet2DModel, their channels by resolution, scheduler and its settings
PIPELINES: dict[str, tuple[dict[str, Any], tuple[int, ...], str, dict[str, Any]]] = {
    "ddpm-cifar10-32": (
        {
            "sample_size": 32,
            "layers_per_block": 2,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": None,
            "downsample_padding": 0,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "norm_eps": 1e-6,
        },
        (128, 256, 256, 256),
        "DDPMScheduler",
        {"num_train_timesteps": 1000, "beta_schedule": "linear"},
    ),
    "diffusers-cd_imagenet64_l2": (
        {
            "sample_size": 64,
            "layers_per_block": 3,
            "down_block_types": ("ResnetDownsampleBlock2D", *("AttnDownBlock2D",) * 3),
            "up_block_types": (*("AttnUpBlock2D",) * 3, "ResnetUpsampleBlock2D"),
            "downsample_type": "resnet",
            "upsample_type": "resnet",
            "attention_head_dim": 8,
            "attn_norm_num_groups": 4,
            "resnet_time_scale_shift": "scale_shift",
            "num_class_embeds": 1000,
        },
        (192, 384, 576, 768),
        "CMStochasticIterativeScheduler",
        {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "clip_denoised": True},
    ),
}


def write_images(plugin: str, folder: Path) -> dict[str, Any]:
    """Write made-up images as a data set expects them; return the parameters that name them and count them."""
    folder.mkdir(parents=True, exist_ok=True)
    parameters = load("dataset", plugin).tiny(folder)
    return {name: value for name, value in parameters.items() if name in FILES}


def write_pipeline_of(source: str, side: int | None, folder: Path) -> str:
    """Write a folder in the diffusers format that replaces a published one; return its path.

    source: folder or hub id of the published one. side: pixels along an image. Raises UserError, one line, for a source
    whose network is not known here.
    """
    from bench.priors.adapters.diffusers import Pipeline, scheduler_of, write_pipeline

    name = name_of_weights(source)
    if name not in PIPELINES:
        known = ", ".join(PIPELINES)
        raise UserError(f"{source}: no stand-in for its network; expected one of {known}")
    config, channels, scheduler, settings = PIPELINES[name]
    unet = _unet(config | ({"sample_size": side} if side else {}), channels, name)
    label = 0 if "num_class_embeds" in config else None
    write_pipeline(folder / name, Pipeline(unet, scheduler_of(scheduler, settings), label))
    return str(folder / name)


def _unet(config: Mapping[str, Any], channels: tuple[int, ...], name: str) -> Any:
    """Return a network with random weights and a sixteenth of the channels, but at least 8 at the finest resolution."""
    import torch
    from diffusers.models.unets.unet_2d import UNet2DModel

    from bench.core.rng import Rng
    from bench.numerics.nets import initialise

    share = 8 / channels[0] if channels[0] % (8 * SIXTEENTH) else 1 / SIXTEENTH
    widths = tuple(round(share * count) for count in channels)
    # the constructor draws weights, which are replaced below
    with torch.random.fork_rng(devices=[]):
        unet = UNet2DModel(**config, block_out_channels=widths, norm_num_groups=4)
    initialise(unet, Rng(("stand-in", name), (0,), dtype=torch.float32), gain=3**-0.5)
    return unet
