"""Parts of the cards of all priors: errors of a denoiser, bits per dimension, and a picture of draws."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from bench.core.artefacts import write_bytes
from bench.core.rng import Rng
from bench.core.types import Random
from bench.runtime.progress import progress

LEVELS = 256  # values of a pixel that bits count
BITS_ARE_OF = f"values of {LEVELS} steps between -1 and 1: -log2 p(x) / D + log2({LEVELS} / 2)"
SIDE_OF_PICTURE, LARGER = (
    8,
    3,
)  # images along a side of the picture, and the factor by which each is enlarged

Denoiser = Callable[[Tensor, Tensor], Tensor]  # x_t (n, *x), sigma () -> E[x | x_t] (n, *x)


class Drawable(Protocol):
    """The part of a prior that draws."""

    def sample(self, num_samples: int, rng: Random) -> Tensor: ...  # (m, num_samples, *x)


def bits_per_dimension(log_prob: Tensor, num_pixels: int) -> float:
    """Return the mean of -log2 p(x) / D + log2(LEVELS / 2) over images with these log densities in nats (n,).

    If uniform noise u was added to the pixels' values v, x = 2 (v + u) / LEVELS - 1, the result is at least the number
    of bits of v itself (Jensen's inequality).
    """
    nats = -log_prob.double().mean().item() / num_pixels
    return nats / math.log(2) + math.log2(LEVELS / 2)


def noise_of(sigma: float, x: Tensor) -> Tensor:
    """Return noise of level `sigma` in the shape of x; it is the same for all priors, so that cards can be compared."""
    return sigma * Rng(("card", "denoiser", sigma), (0,), dtype=x.dtype).randn(tuple(x.shape))[0]


def denoiser_errors(denoise: Denoiser, x: Tensor, sigmas: Sequence[float]) -> dict[str, float]:
    """Return the root mean square error of a denoiser on images x (N, *x), by noise level."""
    errors = {}
    for sigma in sigmas:
        denoised = denoise(x + noise_of(sigma, x), torch.tensor(sigma))
        errors[f"{sigma:g}"] = (denoised - x).square().mean().sqrt().item()
    return errors


def drawn_in_parts(prior: Drawable, num_samples: int, rngs: Sequence[Random], what: str) -> Tensor:
    """Return draws (num_samples, *x), an equal number from each rng of one stream, and report progress."""
    at_once = math.ceil(num_samples / len(rngs))
    parts = [prior.sample(at_once, rng)[0] for rng in progress(rngs, what=what)]
    return torch.cat(parts)[:num_samples]


def write_picture(path: Path, prior: Drawable, num_parts: int = 1) -> None:
    """Write draws of a prior of grey or colour images side by side as a PNG; for other images, write nothing.

    num_parts: number of parts in which the draws are made, each from a stream of its own, with progress reported.
    """
    from PIL import Image

    rngs = [Rng(("card", "picture"), (number,)) for number in range(num_parts)]
    x = drawn_in_parts(prior, SIDE_OF_PICTURE**2, rngs, "draws for the picture")
    if x.shape[1] not in (1, 3):
        return
    colours = x.clamp(-1, 1).add(1).mul(127.5).round().byte().expand(-1, 3, -1, -1)
    # (rows, h, columns, w, 3)
    grid = colours.unflatten(0, (SIDE_OF_PICTURE, -1)).permute(0, 3, 1, 4, 2)
    large = grid.repeat_interleave(LARGER, 1).repeat_interleave(LARGER, 3)
    file = io.BytesIO()
    Image.fromarray(large.flatten(2, 3).flatten(0, 1).numpy()).save(file, "PNG")
    write_bytes(path, file.getvalue())
