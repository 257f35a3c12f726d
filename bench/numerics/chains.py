"""Diagnose chains of images by their log likelihood and leading directions, and decide whether they have mixed."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

from bench.numerics.diagnostics import (
    MIN_STATES,
    bulk_effective_sample_size,
    nested_rhat,
    rank_normalised_rhat,
    tail_effective_sample_size,
)
from bench.numerics.distances import RESOLUTION

NUM_DIRECTIONS = 3  # principal directions of the reference draws
NUM_DRAWS = 128  # of which they are computed
FUNCTIONALS = ("log-likelihood", *(f"direction-{i + 1}" for i in range(NUM_DIRECTIONS)))
NUM_GROUPS = 4  # of chains, for the nested R-hat; each has two or more
# of a chain: with fewer, the effective sample size depends on the number of chains alone
ENOUGH_STATES = 10
LARGEST_RHAT = 1.05  # of the worst functional, mean over measurements, less the excess of independent states over 1
LARGEST_OF_ONE = (
    1.2  # of one measurement and functional; more where independent states exceed it in 1 % of rows
)
MOVE_NOT = "n/a (chains have not mixed: they do not move)"


def chain_diagnostics(
    log_likelihood: Tensor, projections: Tensor, num_chains: int
) -> dict[str, Tensor]:
    """Return R-hats and effective sample sizes, (m,) each, not finite where the chains do not move or are too short.

    log_likelihood: (m, s). projections: (m, s, k), in data units. Sample t C + c is state t of chain c; a last t that
    not all C chains have reached is left out. Besides the worst R-hat there is that of each of FUNCTIONALS.
    """
    # a direction without spread must not show rounding noise
    rounded = (projections / RESOLUTION).round()
    functionals = torch.cat([log_likelihood[..., None], rounded], -1).mT  # (m, functionals, s)
    num_states = functionals.shape[-1] // num_chains
    chains = functionals[..., : num_states * num_chains].unflatten(-1, (num_states, num_chains)).mT
    values = {"rhat_nested": _worst_nested(chains)}
    if num_states < MIN_STATES:
        none = torch.full_like(log_likelihood[:, 0], math.nan)
        names = ("rhat", "ess_bulk", "ess_tail", *(f"rhat_{name}" for name in FUNCTIONALS))
        return values | dict.fromkeys(names, none)
    infinity = float("inf")
    rhats = rank_normalised_rhat(chains)
    values |= {
        "rhat": rhats.nan_to_num(nan=-infinity, posinf=infinity).amax(1),
        "ess_bulk": bulk_effective_sample_size(chains).nan_to_num(nan=infinity).amin(1),
        "ess_tail": tail_effective_sample_size(chains).nan_to_num(nan=infinity).amin(1),
    }
    absent = rhats.new_full((len(rhats), len(FUNCTIONALS) - rhats.shape[1]), math.nan)
    of_each = torch.cat([rhats, absent], 1).unbind(1)
    return values | {f"rhat_{name}": x for name, x in zip(FUNCTIONALS, of_each, strict=True)}


def why_not_mixed(rhats: Tensor, num_chains: int, num_states: int) -> str:
    """Return the reason why a row's effective sample size is not shown, "" where it is.

    rhats: (m, functionals), of all measurements of the row, NaN where a functional is constant.

    There is one verdict for a whole row, so that no lucky measurements are selected. The R-hat of few states scatters,
    and the largest of many is above 1.05 by chance alone. So two statistics are used whose law for independent states
    is known, since R-hat depends on ranks alone: the mean over measurements of the worst functional, less its
    expectation for independent states of that layout; and the largest R-hat of all, since chains that are stuck in two
    modes for one measurement hardly change a mean.
    """
    if not num_states >= ENOUGH_STATES:
        return f"n/a (fewer than {ENOUGH_STATES} states per chain)"
    known = rhats[:, ~rhats.isnan().all(0)]
    if not known.numel() or known.isposinf().any():
        return MOVE_NOT
    chance = _expected_by_chance(num_chains, num_states) - 1
    mean, largest = (known.nanmean(0).max().item() - chance, known.nan_to_num(1).max().item())
    if mean >= LARGEST_RHAT:
        return f"n/a (chains have not mixed, R-hat {mean:.2f})"
    limit = max(LARGEST_OF_ONE, _largest_by_chance(num_chains, num_states, known.numel()))
    return f"n/a (chains have not mixed, R-hat {largest:.2f})" if largest >= limit else ""


def principal_directions(draws: Tensor) -> Tensor:
    """Return the leading right singular vectors of some centred draws, (m, e, D) -> (m, D, NUM_DIRECTIONS)."""
    some = draws[:, :NUM_DRAWS]
    centred = some - some.mean(1, keepdim=True)
    if draws.shape[2] <= 2 * NUM_DRAWS:
        return torch.linalg.svd(centred, full_matrices=False).Vh[:, :NUM_DIRECTIONS].mT
    # images have more pixels than there are draws: diagonalise the products of the draws with each other
    leading = torch.linalg.eigh(centred @ centred.mT).eigenvectors[..., -NUM_DIRECTIONS:].flip(-1)
    return functional.normalize(centred.mT @ leading, dim=1)


def _worst_nested(chains: Tensor) -> Tensor:
    """Return the largest nested R-hat of NUM_GROUPS groups of chains (m, f, C, T) -> (m,); NaN with too few chains."""
    size = chains.shape[-2] // NUM_GROUPS
    if size < 2:
        return chains.new_full((len(chains),), math.nan)
    groups = chains[..., : size * NUM_GROUPS, :].unflatten(-2, (NUM_GROUPS, size))
    return nested_rhat(groups).amax(1)


@functools.cache
def _expected_by_chance(num_chains: int, num_states: int) -> float:
    """Return the mean rank-normalised R-hat of independent states: it depends on the layout alone."""
    generator = torch.Generator().manual_seed(0)
    states = torch.rand(1000, num_chains, num_states, generator=generator, dtype=torch.float64)
    return rank_normalised_rhat(states).mean().item()


def _largest_by_chance(num_chains: int, num_states: int, num: int) -> float:
    """Return the value that the largest of `num` R-hats of independent states exceeds with probability 0.01.

    For H halves with n states, R-hat^2 = (n - 1 + F) / n with Fisher's F of H - 1 and H (n - 1) degrees of freedom;
    each R-hat is the larger of two, that of the states and that of the folded states.
    """
    from scipy.stats import f

    halves, length = 2 * num_chains, num_states // 2
    quantile = f.ppf(1 - 0.01 / (2 * num), halves - 1, halves * (length - 1))
    return math.sqrt((length - 1 + quantile) / length)
