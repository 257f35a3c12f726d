"""The card of a mixture of factor analysers: bits, errors of denoiser and decoder, and what a learned model reaches."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.priors._card import BITS_ARE_OF, bits_per_dimension, denoiser_errors
from bench.priors._mfa import MFA
from bench.priors._record import learned_model

MOST_IMAGES = 2000  # images of each part whose bits are averaged
SIGMAS = (0.1, 0.5, 2.0)  # noise levels of the denoiser's errors
NUM_DECODED = 16


def card_of(prior: MFA, data: dict[str, Tensor]) -> Json:
    """Return the card of a prior, computed on the first MOST_IMAGES images of each part.

    `learned_model` says what a diffusion model reaches on the same test images, where that is recorded.
    """
    single = prior.to(torch.empty(0))
    images = {part: data[part][:MOST_IMAGES].float() for part in ("train", "validation", "test")}
    bits = {
        part: bits_per_dimension(single.log_prob(x), x[0].numel()) for part, x in images.items()
    }
    return {
        "bits_per_dimension": bits,
        "bits_are_of": BITS_ARE_OF,
        "denoiser_rms_error": denoiser_errors(single.denoise, images["test"], SIGMAS),
        "decoder": decoder_card(single),
        "learned_model": learned_model(images["test"]),
    }


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
