"""Compare a mixture of factor analysers with a learned diffusion model of the same images, and time both.

The images are test crops of the data set `photos`, which neither has seen: the mixture is the default suite's prior
`photos`, the network the checkpoint that ships. Both are asked for the same things: the loss that the network was
trained for, at five noise levels, and bits per dimension by the same ODE with the same probes. The mixture's own
density says how large the error of the ODE is. The card of a mixture cites the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import cast

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.registry import build
from bench.core.types import Prior
from bench.cost.common import Options, Say, cpu_seconds
from bench.priors import _networks as networks
from bench.priors import load_prior
from bench.priors._checkpoint import SHIPPED, Checkpoint
from bench.priors._diffusion import Diffusion
from bench.priors._held_out import compared, held_out
from bench.priors._mfa import MFA
from bench.priors._mfa_fit import Settings, fit_mfa
from bench.priors._record import LEARNED, MIXTURE
from bench.priors.adapters.preconditioning import denoiser_of

CHECKPOINT = f"{SHIPPED}photos_edm"
NUM_IMAGES, NUM_FOR_BITS, NUM_TIMED = 252, 28, 28  # multiples of seven, the number of photographs


def measure(options: Options, say: Say) -> Json:
    """Return errors, bits and seconds of both, and how far the learned model is from the mixture."""
    images = build("dataset", "photos", {}).load()
    x = images["test"][:NUM_IMAGES].double()
    priors = {MIXTURE: mixture(options.priors, images, say), LEARNED: learned()}
    limits = (
        max(prior.sigma_range[0] for prior in priors.values()),
        min(prior.sigma_range[1] for prior in priors.values()),
    )
    with torch.no_grad():
        found = {name: held_out(prior, x, limits, NUM_FOR_BITS) for name, prior in priors.items()}
        seconds = {
            name: seconds_of_a_row(prior, x, options.repeats) for name, prior in priors.items()
        }
    content = compared(found, x) | {
        "limits": limits,
        "checkpoint": CHECKPOINT,
        "num_parameters": {name: num_parameters(prior) for name, prior in priors.items()},
        "seconds_of_a_row": seconds,
    }
    for line in described(content):
        say(line)
    return content


def mixture(priors: Path, images: Mapping[str, Tensor], say: Say) -> MFA:
    """Return the default suite's mixture `photos`, or one fitted here if that is missing."""
    path = priors / "photos" / "mfa.safetensors"
    if path.is_file():
        return cast(MFA, load_prior(path))
    say(f"{path} is missing (the workflow makes it); fitting the same mixture.")
    return fit_mfa(images["train"], Settings()).to(torch.empty(0, dtype=torch.float64))


def learned() -> Diffusion:
    """Return the diffusion model that ships."""
    return Diffusion(denoiser_of(Checkpoint(CHECKPOINT).open()), num_ode_steps=1)


def num_parameters(prior: Prior) -> int:
    """Return the numbers that a fit or a training has chosen."""
    if isinstance(prior, MFA):
        parts = (prior.weights, prior.means, prior.factors, prior.psi, prior.basis.colours)
        return sum(part.numel() for part in parts)
    return networks.num_parameters(cast(Diffusion, prior).denoiser.pipeline.unet)


def seconds_of_a_row(prior: Prior, x: Tensor, repeats: int) -> float:
    """Return CPU seconds of the denoiser for one of NUM_TIMED rows, in float32, the median over repeats."""
    single = prior.to(torch.empty(0)) if isinstance(prior, MFA) else prior
    x_t, sigma = x[:NUM_TIMED].float(), torch.tensor(0.5)
    single.denoise(x_t, sigma)
    seconds = [cpu_seconds(lambda: single.denoise(x_t, sigma)) for _ in range(repeats)]
    return median(seconds) / len(x_t)


def described(content: Json) -> list[str]:
    """Return a table of losses and bits, mean and standard error, with differences from the mixture."""
    models = content["models"]
    levels = list(models["mfa"]["weighted_loss"])
    lines = [
        f"{content['num_images']} test crops of `photos`, 32 x 32 x 3, {content['num_for_bits']} of them for bits.",
        "Noise and probes are from fixed streams, equal for both. Mean +- standard error over crops.",
        f"{'':42}{'mfa':>18}{'edm':>18}{'edm - mfa':>20}",
    ]
    for level in levels:
        rms = [f"{models[name]['denoiser_rms_error'][level]:.4f}" for name in models]
        lines.append(f"denoiser's rms error, sigma {level:15}{rms[0]:>18}{rms[1]:>18}")
    for level in levels:
        cells = [models[name]["weighted_loss"][level] for name in models]
        cells.append(models["edm"]["weighted_loss_less_first"][level])
        lines.append(row(f"loss in EDM's weight, sigma {level}", cells))
    cells = [models[name]["bits_per_dimension"] for name in models]
    lines.append(row("bits per dimension, ODE", [*cells, models["edm"]["bits_less_first"]]))
    mfa = models["mfa"]
    lines.append(row("the same, exact", [mfa["exact_bits_per_dimension"]]))
    lines.append(row("error of the ODE", [mfa["bits_of_ode_less_exact"]]))
    sizes, seconds = content["num_parameters"], content["seconds_of_a_row"]
    lines.append(f"{'numbers fitted':42}{sizes['mfa']:>18}{sizes['edm']:>18}")
    times = [f"{1000 * seconds[name]:.2f} ms" for name in models]
    return [*lines, f"{'CPU time of a row, float32':42}{times[0]:>18}{times[1]:>18}"]


def row(name: str, cells: list[Json]) -> str:
    """Return a line of means with their standard errors."""
    texts = [f"{cell['mean']:.4f} +- {cell['standard_error']:.4f}" for cell in cells]
    return f"{name:40}" + "".join(f"{text:>20}" for text in texts)
