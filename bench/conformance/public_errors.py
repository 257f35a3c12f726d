"""Checks for errors of public samplers; docs/errors-of-public-code.md says what each does to samples."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from bench.conformance.case import Case, NotApplicable, Refused
from bench.core.types import Cap
from bench.runtime.run_method import trainable

SEES_Y = Cap.GRAD | Cap.RESIDUAL | Cap.LINEAR | Cap.SIMULATE | Cap.EXACT
BRIGHT = 1.6  # a measured value; the toy's pixels have mean -0.5 to 0.5 and standard deviation 0.5
CLIPPED = 0.99  # where a method follows y, its clipped images reach at least this value


def unclipped(case: Case) -> str:
    """Refuse samples that stay in [-1, 1] where y is brighter: the denoiser is clipped, and has no gradient there."""
    _refuse_unpromising(case)
    y = case.trial.y.clone()
    y[0, 0] = BRIGHT * y[0, 1]  # channel 1 is the mask
    brightest = _x(case, y)[0].abs().max().item()
    if brightest < CLIPPED:
        raise NotApplicable(
            f"up to {brightest:.2g} where y is {BRIGHT}: it does not follow y so far"
        )
    if brightest <= 1 + 1e-6:
        raise Refused(
            f"no pixel is beyond 1 where y is {BRIGHT} ({brightest:.3g} at most): are images clipped to [-1, 1]? "
            "A clipped denoiser is no posterior mean, and has no gradient there"
        )
    return f"up to {brightest:.2g} where y is {BRIGHT}"


def noise_level(case: Case) -> str:
    """Check that samples depend on `sigma_y`: those that do not can be right at one noise level at most."""
    _refuse_unpromising(case)
    noisier = dataclasses.replace(case.trial, sigma_y=3 * case.trial.sigma_y)
    x = noisier.draw(case.trial.y).x
    if x is None:
        raise Refused("it draws nothing where sigma_y is three times as large")
    if torch.equal(x, case.base.x):
        raise NotApplicable(
            "its samples do not depend on sigma_y: right at one noise level at most"
        )
    return ""


def _refuse_unpromising(case: Case) -> None:
    if not case.method.needs & SEES_Y:
        raise NotApplicable("it does not need the measurement")
    if case.tiny and trainable(case.method):
        raise NotApplicable(
            f"trained at its tiny settings, {case.tiny}, good samples are not expected"
        )


def _x(case: Case, y: Tensor) -> Tensor:
    drawn = case.trial.draw(y)
    if drawn.findings.error or drawn.x is None:
        raise Refused(f"with a bright measurement it raised {drawn.findings.error}")
    return drawn.x
