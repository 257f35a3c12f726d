"""Check whether samples depend on what is computed beside them: draw a few of a run again alone, and compare."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from bench.core.types import Method, Prior, Problem, State, Trainable
from bench.runtime.run_method import Draws, Measurements, attempt, joint_of, sample

FEW = 3  # samples drawn again
LIMIT = 0.005  # in standard deviations of all pixels: rounding gives at most 1e-3, a norm over the batch at least 0.1


def interaction(
    method: Method | Trainable,
    prior: Prior,
    problem: Problem,
    first: Measurements,
    draws: Draws,
    state: State | None,
    x: Tensor,
) -> str:
    """Return how samples of the first measurement alone differ from those in the run x (m, s, *x); "" if they do not.

    first: that measurement. Only methods with independent samples are checked: chains and particles may diverge by
    rounding, which depends on the size of a batch. The median over pixels ignores a single sample that diverges.
    """
    if joint_of(method, draws.num_samples)[0] != "independent":
        return ""
    num = min(FEW, draws.num_samples)
    few = replace(draws, num_samples=num)
    drawn = attempt(lambda: sample(method, prior, problem, first, few, state))
    if drawn.result is None:
        return f"a measurement alone: {drawn}"
    apart = (drawn.result[0] - x[0, :num]).abs()
    gap = apart.nanmedian() / x[x.isfinite()].std()
    return f"a measurement alone differs by {gap:.2g} standard deviations" if gap > LIMIT else ""
