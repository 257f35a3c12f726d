"""Train a map from noise to images on a teacher's denoiser, by one of two losses.

`self_consistency`: algorithm 2 of Song et al., Consistency Models, ICML 2023, https://arxiv.org/abs/2303.01469, with
squared error and, as target, a running average of the student. `regression`: fit the ends of the teacher's ODE, as
Luhman and Luhman 2021 do, https://arxiv.org/abs/2101.02388.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.core.rng import Rng
from bench.core.types import Prior, Random
from bench.numerics import training
from bench.numerics.diffusion import heun, heun_step, karras_sigmas
from bench.priors import _networks as networks
from bench.priors._diffusion import Diffusion
from bench.priors.adapters.diffusers import CONSISTENCY, Pipeline, scheduler_of
from bench.priors.adapters.preconditioning import ConsistencyMap, EDMDenoiser, spread
from bench.runtime.progress import progress

if TYPE_CHECKING:
    from bench.priors.consistency import ConsistencyFamily
    from bench.priors.regression_map import RegressionMap

    Settings = ConsistencyFamily | RegressionMap


Loss = Callable[[], Tensor]


def new_student(teacher: Prior, images: Tensor, settings: Settings) -> tuple[ConsistencyMap, Rng]:
    """Return an untrained map and the streams for its training; images (N, *x) are the teacher's data."""
    # both families use this stream: another name would change the maps
    rng = Rng(("fit", "consistency"), (0,), dtype=torch.float32)
    unet, limits = student_of(teacher, images, settings, rng)
    # clipped outputs have no gradient, which latent methods need
    scheduler = scheduler_of(CONSISTENCY, {**limits, "clip_denoised": False})
    return ConsistencyMap(Pipeline(unet, scheduler)), rng


def trained(student: ConsistencyMap, loss: Loss, settings: Settings) -> Pipeline:
    """Train the student; return the map with the running average of its weights over the steps."""
    unet, scheduler = student.pipeline.unet, student.pipeline.scheduler
    steps = (settings.num_iterations, settings.learning_rate, settings.ema_decay)
    descent = networks.Descent(unet, *steps)
    training.minimise(lambda _: loss(), descent, partial(progress, what="distil"))
    return Pipeline(descent.average, scheduler)


def student_of(
    teacher: Prior, images: Tensor, settings: Settings, rng: Random
) -> tuple[nn.Module, dict[str, float]]:
    """Return a network to train, its range of sigma and its sigma_data; for an EDM teacher, copies of the teacher's."""
    denoiser = teacher.denoiser if isinstance(teacher, Diffusion) else None
    if (
        isinstance(denoiser, EDMDenoiser)
        and denoiser.pipeline.scheduler.config.prediction_type == "epsilon"
    ):
        config = denoiser.pipeline.scheduler.config
        unet = copy.deepcopy(denoiser.pipeline.unet).requires_grad_(True)
        limits = {key: config[key] for key in ("sigma_min", "sigma_max", "sigma_data")}
        return with_other_times(unet, config.sigma_min, config.sigma_max), limits
    sigma_data = images.square().mean().sqrt().item()
    limits = {
        "sigma_min": settings.sigma_min,
        "sigma_max": settings.sigma_max,
        "sigma_data": sigma_data,
    }
    return networks.new_unet(
        teacher.shape, settings.channels, settings.layers_per_block, rng
    ), limits


@torch.no_grad()
def with_other_times(unet: Any, sigma_min: float, sigma_max: float) -> nn.Module:
    """Change the network's time, in place, from EDM's log(sigma) / 4 to the 250 log sigma of consistency schedulers.

    The first layer of the time embedding is fitted, by least squares over log sigma, to give the same output as before.
    """
    log_sigma = torch.linspace(math.log(sigma_min), math.log(sigma_max), 1000)
    layer = unet.time_embedding.linear_1
    before = layer(unet.time_proj(log_sigma / 4)).double()
    features = nn.functional.pad(unet.time_proj(250 * log_sigma), (0, 1), value=1.0).double()
    weights = torch.linalg.lstsq(features, before, driver="gelsd").solution
    layer.weight.copy_(weights[:-1].T)
    layer.bias.copy_(weights[-1])
    return unet


def regression(
    student: ConsistencyMap, teacher: Prior, settings: RegressionMap, rng: Random
) -> Loss:
    """Return the squared distance to the end of the teacher's ODE, from each of the student's noise levels."""
    sigmas = student.levels(settings.num_steps)[0][:-1]
    starts, ends = ode_pairs(teacher, sigmas, settings, rng)

    def loss() -> Tensor:
        level = int(rng.randint(len(sigmas), ()))
        rows = rng.randint(settings.num_pairs, (settings.batch_size,))[0]
        return (student(starts[level, rows], sigmas[level]) - ends[level, rows]).square().mean()

    return loss


@torch.no_grad()
def ode_pairs(
    teacher: Prior, sigmas: Tensor, settings: RegressionMap, rng: Random
) -> tuple[Tensor, Tensor]:
    """Return noisy images and the images to which the teacher's ODE takes them, (len(sigmas), num_pairs, *x) each.

    At the first level the noisy images are noise alone, which the teacher decodes; at lower levels they are the decoded
    images plus noise.
    """
    z = rng.randn((settings.num_pairs, *teacher.latent_shape))[0]
    starts, ends = [sigmas[0] * z], [in_chunks(teacher.decode, z)]
    for sigma in sigmas[1:]:
        grid = karras_sigmas(settings.num_levels, settings.sigma_min, sigma.item())
        starts.append(ends[0] + sigma * rng.randn(tuple(z.shape))[0])
        ends.append(in_chunks(lambda x_t, grid=grid: heun(teacher.denoise, x_t, grid), starts[-1]))
    return torch.stack(starts), torch.stack(ends)


def in_chunks(call: Callable[[Tensor], Tensor], x: Tensor, size: int = 512) -> Tensor:
    """Return `call` on float64 parts of x, as float32."""
    return torch.cat([call(part.double()).float() for part in x.split(size)])


def self_consistency(
    student: ConsistencyMap,
    teacher: Prior,
    images: Tensor,
    settings: ConsistencyFamily,
    rng: Random,
) -> Loss:
    """Return the squared distance of the student from its running average evaluated one step of the ODE lower."""
    config, unet = student.pipeline.scheduler.config, student.pipeline.unet
    grid = karras_sigmas(settings.num_levels, config.sigma_min, config.sigma_max)[:-1]
    averaged = networks.frozen(copy.deepcopy(unet))
    target = ConsistencyMap(Pipeline(averaged, student.pipeline.scheduler))

    def denoise(x_t: Tensor, sigma: Tensor) -> Tensor:
        return teacher.denoise(x_t, sigma.flatten())

    def loss() -> Tensor:
        x = networks.batch(images, settings.batch_size, rng)
        i = rng.randint(len(grid) - 1, (len(x),))[0]
        sigma, sigma_below = grid[i], grid[i + 1]
        x_t = x + spread(sigma.float(), x) * rng.randn(tuple(x.shape))[0]
        with torch.no_grad():
            networks.move_towards(averaged, unet, 1 - settings.target_decay)
            x_below = heun_step(denoise, x_t.double(), spread(sigma, x), spread(sigma_below, x))
            goal = target(x_below.float(), sigma_below.float())
        return (student(x_t, sigma.float()) - goal).square().mean()

    return loss
