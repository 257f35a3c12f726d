"""What the card of a mixture of factor analysers says of it: bits, errors of denoiser and decoder, and a picture."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import Json, write_bytes
from bench.core.rng import Rng
from bench.priors._mfa import MFA

MOST_IMAGES = 2000  # of each part, whose bits are taken
LEVELS = 256  # values of a pixel that bits count
SIGMAS = (0.1, 0.5, 2.0)  # noise levels of the denoiser's errors
NUM_DECODED = 16
SIDE_OF_PICTURE, LARGER = 8, 3  # images along a side of the picture, and pixels for one of theirs


def card_of(prior: MFA, data: dict[str, Tensor]) -> Json:
    """Return what is known of a prior from the first MOST_IMAGES images of each part."""
    single = prior.to(torch.empty(0))
    images = {part: data[part][:MOST_IMAGES] for part in ("train", "validation", "test")}
    bits = {part: bits_per_dimension(single, x.float()) for part, x in images.items()}
    return {
        "bits_per_dimension": bits,
        "bits_are_of": f"values of {LEVELS} steps between -1 and 1: -log2 p(x) / D + log2({LEVELS} / 2)",
        "denoiser_rms_error": denoiser_errors(single, images["test"].float()),
        "decoder": decoder_card(single),
    }


def bits_per_dimension(prior: MFA, x: Tensor) -> float:
    """Return the mean of -log2 p(x) / D + log2(LEVELS / 2) over images x (N, *x).

    Where the values v of pixels were spread by uniform noise u, x = 2 (v + u) / LEVELS - 1, it is at least the bits of
    v itself (Jensen's inequality).
    """
    nats = -prior.log_prob(x).double().mean().item() / x[0].numel()
    return nats / math.log(2) + math.log2(LEVELS / 2)


def denoiser_errors(prior: MFA, x: Tensor) -> dict[str, float]:
    """Return the root mean square error of the denoiser on images x (N, *x), by noise level."""
    errors = {}
    for sigma in SIGMAS:
        noise = Rng(("card", "denoiser", sigma), (0,), dtype=x.dtype).randn(tuple(x.shape))[0]
        denoised = prior.denoise(x + sigma * noise, torch.tensor(sigma))
        errors[f"{sigma:g}"] = (denoised - x).square().mean().sqrt().item()
    return errors


def decoder_card(prior: MFA) -> Json:
    """Return the decoder's errors: against finer steps of its ODE, and against a start at more noise."""
    z = Rng(("decoder card",), (0,), dtype=torch.float32).randn((NUM_DECODED, *prior.shape))[0]
    steps = 2 * prior.num_ode_steps
    fine = dataclasses.replace(prior, num_ode_steps=steps)
    far = dataclasses.replace(prior, num_ode_steps=steps + 4, sigma_max=4 * prior.sigma_max)
    decoded, reference, further = (each.decode(z) for each in (prior, fine, far))

    def rms(difference: Tensor) -> float:
        return difference.square().mean().sqrt().item()

    return {
        "evaluations": prior.decode_nfe,
        "sigma_max": prior.sigma_max,
        "rms_error_against_fine_integrator": rms(decoded - reference),
        "max_error_against_fine_integrator": (decoded - reference).abs().max().item(),
        "rms_change_from_larger_sigma_max": rms(reference - further),
    }


def write_picture(path: Path, prior: MFA) -> None:
    """Write draws of the prior side by side as a PNG."""
    from PIL import Image

    x = prior.sample(SIDE_OF_PICTURE**2, Rng(("card", "picture"), (0,)))[0]
    colours = x.clamp(-1, 1).add(1).mul(127.5).round().byte().expand(-1, 3, -1, -1)
    grid = colours.unflatten(0, (SIDE_OF_PICTURE, -1)).permute(
        0, 3, 1, 4, 2
    )  # rows, h, columns, w, 3
    large = grid.repeat_interleave(LARGER, 1).repeat_interleave(LARGER, 3)
    file = io.BytesIO()
    Image.fromarray(large.flatten(2, 3).flatten(0, 1).numpy()).save(file, "PNG")
    write_bytes(path, file.getvalue())
