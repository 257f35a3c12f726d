"""Networks in guided-diffusion's layout: opened from tensors under their foreign names, or with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.numerics.nets import initialise
from bench.priors._networks import frozen
from bench.priors.adapters.architectures import Architecture, outline
from bench.priors.adapters.unet_keys import diffusers_state, foreign_state


def opened_unet(tensors: Mapping[str, Tensor], architecture: Architecture, source: str) -> Any:
    """Return the network as a `UNet2DModel`, float32; raise UserError, one line, for another architecture's weights."""
    unet = outline(architecture)
    unet.load_state_dict(diffusers_state(tensors, architecture, source), assign=True)
    return frozen(unet)


def random_tensors(architecture: Architecture, conv_dims: int = 1) -> dict[str, Tensor]:
    """Return random weights under their foreign names, always the same ones; for rehearsals and tests."""
    unet = outline(architecture).to_empty(device="cpu")
    rng = Rng(
        ("random weights", architecture.side, architecture.channels), (0,), dtype=torch.float32
    )
    initialise(unet, rng, gain=3**-0.5)
    return foreign_state(unet.state_dict(), architecture, conv_dims)
