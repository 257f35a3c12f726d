"""The check that a method draws on a mixture of Gaussians over 8 x 8 pixels, a prior of real tasks, in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.conformance.case import Case, NotApplicable, Refused
from bench.conformance.trial import M, Trial
from bench.core.registry import build
from bench.core.rng import Rng
from bench.problems import make_problem
from bench.runtime.run_method import Unsupported, refuse_unmet

SHAPE = (1, 8, 8)
DTYPE = torch.float32
NUM_COMPONENTS = 3
SIGMA_Y = 0.5  # as on the task gmm-denoise; with much less, the check would test step sizes instead of dtypes


class MixtureTrial(Trial):
    """A trial on a mixture, measured without a square of 4 x 4 pixels."""

    @cached_property
    def prior(self) -> Any:
        size = math.prod(SHAPE)
        means = Rng(("conformance", "means"), range(NUM_COMPONENTS)).randn(SHAPE)
        smooth = torch.nn.functional.avg_pool2d(means, 3, 1, padding=1)
        pixels = torch.cartesian_prod(torch.arange(8), torch.arange(8)).double()
        covariance = 0.1 * torch.exp(-torch.cdist(pixels, pixels) / 2) + 0.002 * torch.eye(size)
        tensors = {
            "weights": torch.full((NUM_COMPONENTS,), 1 / NUM_COMPONENTS),
            "means": smooth,
            "covariances": covariance.expand(NUM_COMPONENTS, size, size).clone(),
        }
        tensors = {name: tensor.to(DTYPE) for name, tensor in tensors.items()}
        return build("prior", "gmm", {}).load(tensors, Path(), None)

    @cached_property
    def problem(self) -> Any:
        return make_problem("inpaint-box", {"box": 4}, self.sigma_y, SHAPE)

    @cached_property
    def y(self) -> torch.Tensor:
        rng = self.rng("y", ids=range(M))
        return self.problem.simulate(self.prior.sample(1, rng)[:, 0], rng)

    def rng(self, *axes: object, ids: Sequence[int], samples: range = range(0)) -> Rng:
        names = ("conformance", "mixture", *axes)
        return Rng(names, ids, samples, DTYPE, drawn=torch.float64)


def draws_on_a_mixture(case: Case) -> str:
    trial = MixtureTrial(
        case.method, case.path, case.trial.num_samples, case.trial.shown, sigma_y=SIGMA_Y
    )
    try:
        refuse_unmet(case.method, trial.prior, trial.problem)
    except Unsupported as words:
        raise NotApplicable(str(words)) from None
    x, error = (drawn := trial.draw()).x, drawn.findings.error
    if error or x is None:
        raise Refused(f"on a mixture of Gaussians in float32, it raised {error}")
    expected = (M, trial.num_samples, *SHAPE)
    if tuple(x.shape) != expected or x.dtype != DTYPE or not x.isfinite().all():
        num_bad = int((~x.isfinite()).sum())
        came = f"{x.dtype} of shape {tuple(x.shape)}, {num_bad} of {x.numel()} numbers not finite"
        raise Refused(
            f"on a mixture of Gaussians in float32, its samples are {came}; expected finite {expected}"
        )
    return ""
