"""Two priors on the same held-out images: errors of their denoisers by noise level, and bits per dimension.

Noise and probes are the same for all priors, so that differences are paired over images. Standard errors are over
images, taken as independent: crops of few photographs say how a model does on more crops of these, not on others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Cap, Prior
from bench.numerics.flow_likelihood import flow_log_prob
from bench.priors._card import BITS_ARE_OF, bits_per_dimension, noise_of
from bench.priors._learned_card import SIGMAS
from bench.priors._record import images_sha256
from bench.runtime.progress import progress

ROWS_AT_ONCE = 32
ODE_STEPS = 48  # of Runge-Kutta's, twice as many as in cards: the two models differ by little


class Smoothed(Protocol):
    """A prior with the density of its images with noise."""

    def log_prob(self, x: Tensor, sigma: float) -> Tensor: ...  # (n, *x) -> (n,), in nats


@dataclass(frozen=True)
class HeldOut:
    """Values of each image under one prior.

    squared_errors: mean over pixels of (D - x)^2 by noise level, (N,); bits: by the probability-flow ODE, (n,); exact:
    the same from the density of the prior itself, where it has one.
    """

    squared_errors: dict[str, Tensor]
    bits: Tensor
    exact: Tensor | None


def held_out(prior: Prior, x: Tensor, limits: tuple[float, float], num_for_bits: int) -> HeldOut:
    """Return the values of images x (N, *x), float64; bits are those of the first `num_for_bits`.

    limits: noise levels between which the ODE is followed. Bits are those of the images' density under the prior with
    noise of the lower one.
    """
    errors = {}
    for value in progress(SIGMAS, what="errors of the denoiser"):
        x_t, sigma = x + noise_of(value, x), torch.tensor(value, dtype=x.dtype)
        denoised = torch.cat([prior.denoise(rows, sigma) for rows in x_t.split(ROWS_AT_ONCE)])
        errors[f"{value:g}"] = (denoised - x).square().flatten(1).mean(1)
    x = x[:num_for_bits]
    signs = 2.0 * Rng(("card", "probe", "test"), (0,)).randint(2, tuple(x.shape))[0].to(x) - 1
    pairs = list(zip(x.split(ROWS_AT_ONCE), signs.split(ROWS_AT_ONCE), strict=True))
    flows = [
        flow_log_prob(prior.denoise, rows, limits, ODE_STEPS, probe)
        for rows, probe in progress(pairs, what="bits per dimension")
    ]
    exact = None
    if Cap.DENSITY in prior.caps:
        exact = bits_of_each(cast(Smoothed, prior).log_prob(x, limits[0]), x)
    return HeldOut(errors, bits_of_each(torch.cat(flows), x), exact)


def bits_of_each(log_prob: Tensor, x: Tensor) -> Tensor:
    """Return the bits per dimension of each image, from log densities in nats (n,)."""
    return torch.tensor([bits_per_dimension(one, x[0].numel()) for one in log_prob])


def compared(found: Mapping[str, HeldOut], x: Tensor) -> Json:
    """Return what priors reach on images x (N, *x), and how far the others are from the first, by name.

    A loss is the squared error in EDM's weight, 1 / sigma^2 + 1 / s^2 with s the root mean square of the images: 1 for
    the best denoiser that is linear and treats all pixels alike.
    """
    first, *_ = found.values()
    power = x.square().mean().item()
    return {
        "num_images": len(x),
        "num_for_bits": len(first.bits),
        "images_sha256": images_sha256(x),
        "bits_are_of": BITS_ARE_OF,
        "models": {name: summary(each, first, power) for name, each in found.items()},
    }


def summary(own: HeldOut, first: HeldOut, power: float) -> Json:
    """Return errors, losses and bits of one prior, and its differences from the first one."""
    losses, rms, apart = {}, {}, {}
    for level, errors in own.squared_errors.items():
        weight = 1 / float(level) ** 2 + 1 / power
        rms[level] = errors.mean().sqrt().item()
        losses[level] = mean_and_error(weight * errors)
        apart[level] = mean_and_error(weight * (errors - first.squared_errors[level]))
    return {
        "denoiser_rms_error": rms,
        "weighted_loss": losses,
        "weighted_loss_less_first": apart,
        "bits_per_dimension": mean_and_error(own.bits),
        "bits_less_first": mean_and_error(own.bits - first.bits),
        "exact_bits_per_dimension": None if own.exact is None else mean_and_error(own.exact),
        "bits_of_ode_less_exact": None
        if own.exact is None
        else mean_and_error(own.bits - own.exact),
    }


def mean_and_error(values: Tensor) -> Json:
    """Return the mean of values (n,) and its standard error."""
    error = values.std() / len(values) ** 0.5
    return {"mean": values.mean().item(), "standard_error": error.item()}
