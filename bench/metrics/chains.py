"""Convergence of Markov chains: R-hat and effective sample sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.chains import (
    ENOUGH_STATES,
    FUNCTIONALS,
    LARGEST_RHAT,
    MOVE_NOT,
    NUM_GROUPS,
    chain_diagnostics,
    principal_directions,
    why_not_mixed,
)
from bench.numerics.diagnostics import MIN_STATES
from bench.numerics.distances import RESOLUTION

__all__ = ["Chains"]

TOO_SHORT = f"n/a (fewer than {MIN_STATES} states per chain)"
TOO_FEW = f"n/a (fewer than {2 * NUM_GROUPS} chains)"
LEAST_MOVED = 0.1  # standard deviation of the states within chains, over that of the posterior
STUCK = -math.inf  # an effective sample size where chains move less than that
COPIED = -1.0  # and where a chain repeats another, which no R-hat shows: copies agree
COPIES = "n/a (chains are copies of each other)"
RHATS = tuple(f"rhat_{name}" for name in FUNCTIONALS)
SIZES = ("ess_bulk", "ess_tail")
RHAT = (
    "largest rank-normalised split R-hat, of the states or folded at their median, among the log likelihood and the "
    "projections on the three leading principal directions of the exact draws"
)
NESTED = (
    f"largest nested R-hat of the same functionals, of {NUM_GROUPS} groups of chains, for many short chains: whether "
    "the means of groups agree. Independent states have sqrt(1 + 1 / n) for n states in a group, and chains that start "
    "apart and do not move have the same with n chains in a group"
)
BULK = (
    "smallest effective sample size among the functionals of rhat, of their ranks; only where chains have "
    f"{ENOUGH_STATES} states or more and have mixed: one verdict for all measurements, by R-hat, whose mean over them "
    f"has to be below {LARGEST_RHAT} in each functional, beyond what independent states of as many chains have by "
    f"chance, and in each direction the states of a chain have to spread by {LEAST_MOVED} of the posterior's standard "
    "deviation or more"
)
TAIL = "the same of the events that a functional is beyond its 5 % and its 95 % quantile, the smaller of the two"


@dataclass(frozen=True)
class Chains(Metric):
    """Diagnostics of the log likelihood and of projections on the leading directions of the posterior."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        column = partial(Column, unit="1", needs="chain", not_finite=MOVE_NOT)
        size = partial(Column, unit="samples", needs="chain", not_finite=MOVE_NOT)
        return (
            column("rhat", RHAT, 1.0),
            *(column(id, f"R-hat of the {_described(id)} alone", 1.0) for id in RHATS),
            column("rhat_nested", NESTED, 1.0, not_finite=TOO_FEW),
            size("ess_bulk", BULK, "higher"),
            size("ess_tail", TAIL, "higher"),
        )

    def why_empty_of_run(
        self, values: Mapping[str, Tensor], num_chains: int, context: Context
    ) -> dict[str, str]:
        num_states = context.num_samples // num_chains
        reasons = dict.fromkeys(("rhat", *RHATS), TOO_SHORT) if num_states < MIN_STATES else {}
        rhats = torch.stack([values[id] for id in RHATS], 1)
        mixed = why_not_mixed(rhats, num_chains, num_states)
        for verdict, reason in ((STUCK, MOVE_NOT), (COPIED, COPIES)):
            mixed = mixed or (reason if (values["ess_bulk"] == verdict).any() else "")
        return reasons | (dict.fromkeys(SIZES, mixed) if mixed else {})

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        directions = truth.of_draws(principal_directions)
        states = samples.flatten(2) @ directions
        values = chain_diagnostics(truth.log_likelihood(samples), states, truth.num_chains)
        # states that are all equal where the posterior is not: as far from mixing as can be
        spreads = truth.once("spread of directions", lambda: (truth.draws @ directions).std(1))
        for id, spread in zip(RHATS[1:], spreads.unbind(1), strict=False):
            is_stuck = values[id].isnan() & (spread > RESOLUTION)
            values[id] = values[id].masked_fill(is_stuck, float("inf"))
        # R-hat sees ranks alone: a single chain that trembles on the spot agrees with itself
        moved = spread_within_chains(states, truth.num_chains)
        is_still = ((moved < LEAST_MOVED * spreads) & (spreads > RESOLUTION)).any(1)
        repeats = repeats_a_chain(states, truth.num_chains) & (spreads > RESOLUTION).any(1)
        for id in SIZES:
            values[id] = values[id].masked_fill(repeats, COPIED).masked_fill(is_still, STUCK)
        return {column.id: values[column.id] for column in self.columns(None)}


def spread_within_chains(states: Tensor, num_chains: int) -> Tensor:
    """Return the standard deviation within chains of numbers of states (m, s, k) -> (m, k).

    Sample t C + c is state t of chain c; a last t that not all C chains have reached is left out.
    """
    return _chains(states, num_chains).var(1, correction=0).mean(1).sqrt()


def repeats_a_chain(states: Tensor, num_chains: int) -> Tensor:
    """Return where a chain has the same states as another of its measurement (m), for states (m, s, k)."""
    rounded = (states / RESOLUTION).round()
    of_chains = _chains(rounded, num_chains).transpose(1, 2).flatten(2)  # (m, C, T k)
    distinct = [len(torch.unique(chains, dim=0)) for chains in of_chains]
    return torch.tensor(distinct, device=states.device) < num_chains


def _chains(states: Tensor, num_chains: int) -> Tensor:
    """Return states (m, s, k) by state and chain, (m, T, C, k)."""
    num_states = states.shape[1] // num_chains
    return states[:, : num_states * num_chains].unflatten(1, (num_states, num_chains))


def _described(id: str) -> str:
    name = id.removeprefix("rhat_")
    number = name.removeprefix("direction-")
    return "log likelihood" if number == name else f"projection on direction {number}"
