"""Choose how a task's reference draws are made, as its suite asks or by the best means, and estimate what they cost."""

from __future__ import annotations

import time
from dataclasses import replace

from torch import Tensor

from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Mixture, Prior, Problem
from bench.problems.posteriors import LatentSMC, NoPosterior, Posterior, TemperedSMC
from bench.problems.posteriors.instrument import FactorMixture

NOT_WANTED = "the suite asks for none"
PILOT = 256  # particles of one measurement in a trial run: as many as go through a network at once
FEW = {"num_bank": 2}
WORTH_A_PILOT = (
    16  # least ratio of all particles to the pilot's: below, the trial costs more than it is worth
)


def wanted_posterior(
    wanted: str, posterior: Posterior, prior: Prior, problem: Problem, task: str
) -> Posterior:
    """Return the posterior that reference draws are from. wanted: "none", "particles", "exact", or "" for the best.

    posterior: the best one that there is. Raises UserError, one line, where the suite asks for one that there is not.
    """
    if wanted in ("", kind_of(posterior)):
        return posterior
    if wanted == "none":
        return NoPosterior(prior, NOT_WANTED)
    none = isinstance(posterior, NoPosterior)
    if wanted == "particles" and not none and isinstance(prior, (Mixture, FactorMixture)):
        return TemperedSMC(prior, problem)
    why = posterior.why if none else f"the posterior is known by {posterior.kind}"
    what = f"expected {kind_of(posterior)}, or leave the key out"
    raise UserError(f"{task}: reference: {wanted}: {why}; {what}")


def kind_of(posterior: Posterior) -> str:
    """Return `none`, `particles` or `exact`."""
    if isinstance(posterior, NoPosterior):
        return "none"
    return "particles" if isinstance(posterior, (TemperedSMC, LatentSMC)) else "exact"


def stated_cost(
    posterior: TemperedSMC | LatentSMC, y: Tensor, num_draws: int, num_particles: int | None
) -> str:
    """Return how long two runs of a particle reference will take for y (m, *y), by a trial on one measurement."""
    posterior = replace(posterior, num_particles=num_particles) if num_particles else posterior
    size = posterior.size(num_draws)
    words = f"2 runs of {len(y)} measurements with {size} particles each"
    tried = min(PILOT, size)
    if 2 * len(y) * size < WORTH_A_PILOT * tried:
        return words
    # draws from the prior are shared by all measurements, moves are not: a second pilot with few draws separates them
    whole, moves = (
        _seconds(replace(posterior, num_particles=tried, **few), y) for few in ({}, FEW)
    )
    seconds = 2 * size / tried * (max(whole - moves, 0.0) + len(y) * moves)
    about = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
    return (
        f"{words}, about {about} on this machine ({tried} particles of one measurement were tried)"
    )


def _seconds(pilot: TemperedSMC | LatentSMC, y: Tensor) -> float:
    """Return the seconds of a run on the first measurement; no result uses its random numbers."""
    started = time.perf_counter()
    pilot.run(y[:1], 1, Rng(("pilot",), [0], range(1)))
    return time.perf_counter() - started
