"""Posteriors of a prior under a problem: by conjugacy, by enumeration, or by particles in x or in z.

A prior is recognised by its attributes (`core.types.FiniteSet`, `core.types.Mixture`, `instrument.FactorMixture`), not
by its class: a new prior with `atoms`, with a mixture's weights, means and covariances, or with centres, factors and
psi, has these posteriors without any edit here.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

from bench.core.types import Cap, FiniteSet, Mixture, Prior, Problem
from bench.problems.posteriors.conjugate import Conjugate
from bench.problems.posteriors.enumeration import Enumeration
from bench.problems.posteriors.factors import FactorConjugate
from bench.problems.posteriors.instrument import FactorMixture
from bench.problems.posteriors.posterior import HasLogZ, NoPosterior, Posterior
from bench.problems.posteriors.smc_data import TemperedSMC
from bench.problems.posteriors.smc_latent import LatentSMC
from bench.problems.reward import with_gradients

__all__ = [
    "Conjugate",
    "Enumeration",
    "FactorConjugate",
    "HasLogZ",
    "LatentSMC",
    "NoPosterior",
    "Posterior",
    "TemperedSMC",
    "posterior_of",
    "teacher_posterior",
]

# rows through the network per decoded row; a reference decodes 2e5 rows or more per measurement
MAX_DECODE_NFE = 16
MOST_VALUES = 256  # in a particle, which is an image or the noise that is decoded


@runtime_checkable
class Distilled(Protocol):
    """A prior that was distilled from another one, or learned its draws."""

    teacher: Prior | None


def posterior_of(prior: Prior, problem: Problem) -> Posterior:
    """Return the posterior of `problem` by the best means available under this prior; `NoPosterior` where none is."""
    problem = with_gradients(problem)
    if isinstance(prior, FiniteSet):
        return Enumeration(prior, problem)
    if Cap.GRAD not in problem.caps:
        return NoPosterior(prior, "the operator is not differentiable")
    if isinstance(prior, Mixture):
        return (
            Conjugate(prior, problem) if Cap.LINEAR in problem.caps else TemperedSMC(prior, problem)
        )
    if isinstance(prior, FactorMixture):
        if Cap.LINEAR in problem.caps:
            found = FactorConjugate(prior, problem)
            return NoPosterior(prior, found.refusal) if found.refusal else found
        size = prior.psi.shape[1]
        if size > MOST_VALUES:
            return NoPosterior(prior, too_many(size))
        return TemperedSMC(prior, problem)
    if Cap.DECODER not in prior.caps:
        return NoPosterior(prior, "this prior has no decoder")
    if prior.decode_nfe > MAX_DECODE_NFE:
        calls = f"{prior.decode_nfe} network calls per decoded row, {MAX_DECODE_NFE} at most are affordable"
        return NoPosterior(prior, calls)
    size = math.prod(prior.latent_shape)
    if size > MOST_VALUES:
        return NoPosterior(prior, too_many(size))
    return LatentSMC(prior, problem)


def too_many(size: int) -> str:
    """Return why particles of that many values are not used."""
    return f"particles of {size} values would take hours, {MOST_VALUES} at most are affordable"


def teacher_posterior(prior: Prior, problem: Problem) -> Posterior | None:
    """Return the posterior under the prior from which this one learned; None where there is none.

    The teacher has to be a finite set or a mixture.
    """
    teacher = prior.teacher if isinstance(prior, Distilled) else None
    if not isinstance(teacher, (Mixture, FiniteSet, FactorMixture)):
        return None
    posterior = posterior_of(teacher, problem)
    return None if isinstance(posterior, NoPosterior) else posterior
