"""The networks and mixtures whose cost is measured, and measurements for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import cast

import torch
from torch import Tensor, nn

from bench.core.registry import build
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.cost.common import Say, cpu_seconds
from bench.numerics.nets import initialise
from bench.priors import _networks as networks
from bench.priors import load_prior
from bench.priors._consistency import Consistency
from bench.priors._diffusion import Diffusion
from bench.priors._gmm_fit import fit_gmm
from bench.priors._mixture import GMM
from bench.priors.adapters.diffusers import CONSISTENCY, EDM, Pipeline, scheduler_of
from bench.priors.adapters.preconditioning import ConsistencyMap, EDMDenoiser
from bench.problems import make_problem
from bench.problems.inverse_problem import InverseProblem

LIMITS = {"sigma_min": 0.002, "sigma_max": 20.0, "sigma_data": 0.5}
# the network of the default suite's priors `edm` and `consistency`
DIGITS = {"shape": (1, 8, 8), "channels": (16, 16), "layers_per_block": 0}
LARGE = {"shape": (3, 32, 32), "channels": (32, 64), "layers_per_block": 1}


def new_unet(shape: tuple[int, ...], channels: Sequence[int], layers_per_block: int) -> nn.Module:
    """Return a UNet with random weights, which cost as much as trained ones; its last layer is not zero."""
    rng = Rng(("cost", "network", *shape), (0,), dtype=torch.float32)
    unet = networks.frozen(networks.new_unet(shape, channels, layers_per_block, rng))
    initialise(cast(nn.Module, unet.conv_out), rng, gain=0.1)
    return unet


def untrained(unet: nn.Module) -> Consistency:
    """Return a prior whose denoiser and one-step decoder both call `unet`."""
    teacher = Diffusion(EDMDenoiser(Pipeline(unet, scheduler_of(EDM, LIMITS))), num_ode_steps=10)
    scheduler = scheduler_of(CONSISTENCY, {**LIMITS, "clip_denoised": False})
    return Consistency(ConsistencyMap(Pipeline(unet, scheduler)), num_steps=1, teacher=teacher)


def digits(priors: Path, say: Say) -> Prior:
    """Return the default suite's prior `consistency` with its teacher's denoiser, or untrained networks if missing."""
    path = priors / "consistency" / "consistency.safetensors"
    if path.is_file():
        return load_prior(path)
    say(
        f"{path} is missing (the workflow makes it); using networks of the same kind with random weights."
    )
    return untrained(new_unet(**DIGITS))


def gmm(priors: Path, say: Say) -> GMM:
    """Return the default suite's mixture, or a mixture fitted here if that is missing."""
    path = priors / "gmm" / "gmm.safetensors"
    if path.is_file():
        return cast(GMM, load_prior(path))
    say(f"{path} is missing (the workflow makes it); fitting a mixture of 20 components.")
    return fit_gmm(
        build("dataset", "digits", {}).load()["train"],
        num_components=20,
        shrinkage=30.0,
        floor=2e-3,
    )


def inpainting(shape: tuple[int, ...]) -> InverseProblem:
    """Return a problem that hides the middle quarter of an image."""
    return make_problem("inpaint-box", {"box": shape[-1] // 2}, 0.1, shape)


def measurements(prior: Prior, problem: InverseProblem, m: int) -> Tensor:
    """Return measurements (m, *y) of draws of the prior."""
    rng = Rng(("overhead", "y"), range(m))
    return problem.simulate(prior.sample(1, rng)[:, 0], rng)


def forward_seconds(prior: Prior, rows: int, repeats: int = 3) -> float:
    """Return CPU seconds of one call of the denoiser without a graph, the median over repeats."""
    x_t = Rng(("cost", "forward"), (0,)).randn((rows, *prior.shape))[0]
    return median(
        cpu_seconds(lambda: prior.denoise(x_t, torch.tensor(0.5))) for _ in range(repeats + 1)
    )


def format_shape(shape: Sequence[int]) -> str:
    """Return `8 x 8` or `32 x 32 x 3` of a shape (c, h, w)."""
    channels, height, width = shape
    return f"{height} x {width}" + (f" x {channels}" if channels > 1 else "")
