"""Convergence of Markov chains: R-hat and effective sample size, for few long chains and for many short ones.

Title: Rank-normalization, folding, and localization: an improved R-hat for assessing convergence of MCMC
Venue: Bayesian Analysis 16(2), 2021, equations (1) to (14)
URL: https://arxiv.org/abs/1903.08008
Deviations: equal to ArviZ 0.22 except for chains that ArviZ cannot judge. In halves of fewer than 5 states its sum of
autocorrelations, which stops three lags before the last, has no term, and ArviZ returns C T log10(C T) for any chains:
here the sum then runs to the last lag. Where no state differs from another, ArviZ returns C T: here NaN. A single chain
has an R-hat here, that of its halves.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FEW_STATES = 5  # in a half; with fewer, the sum of autocorrelations runs to the last lag
MIN_STATES = 4  # each half of a chain needs two states for a variance


def rank_normalise(chains: Tensor) -> Tensor:
    """Return normal scores of the ranks among all states of all chains, `(..., C, T)`; ties share their mean rank.

    So functionals with heavy tails have a finite variance, too; "bulk" diagnostics are those of these scores.
    """
    values = chains.flatten(-2).contiguous()
    ordered = values.sort(-1).values
    ranks = (
        torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True) + 1
    ) / 2
    scores = torch.special.ndtri((ranks.to(values) - 3 / 8) / (values.shape[-1] + 1 / 4))
    return scores.reshape(chains.shape)


def folded(chains: Tensor) -> Tensor:
    """Return each state's distance from the median of all, `(..., C, T)`.

    It differs between chains of equal means but unequal spreads.
    """
    ordered = chains.flatten(-2).sort(-1).values
    size = ordered.shape[-1]
    # not quantile(0.5), whose rounding breaks the tie of the two states beside the median
    median = (ordered[..., (size - 1) // 2] + ordered[..., size // 2]) / 2
    return (chains - median[..., None, None]).abs()


def rank_normalised_rhat(chains: Tensor) -> Tensor:
    """Return the larger split R-hat of the rank-normalised states and of the folded ones, `(..., C, T)` -> `(...)`."""
    halves = _halved(chains)
    bulk, tails = _rhat(rank_normalise(halves)), _rhat(rank_normalise(folded(halves)))
    # folding may map two distinct values to one, whose R-hat is NaN; fmax ignores it
    return torch.fmax(bulk, tails)


def bulk_effective_sample_size(chains: Tensor) -> Tensor:
    """Return the effective sample size of the rank-normalised states, `(..., C, T)` -> `(...)`."""
    return _effective_size(rank_normalise(_halved(chains)))


def tail_effective_sample_size(chains: Tensor, share: float = 0.05) -> Tensor:
    """Return the smaller effective sample size of two tails that each hold a `share`, `(..., C, T)` -> `(...)`.

    A tail without a state beyond its end (ties) counts in full. NaN where no state differs from another.
    """
    ordered = chains.flatten(-2).sort(-1).values
    in_halves = float(chains.shape[-2] * (chains.shape[-1] // 2 * 2))
    ends = [_quantile(ordered, level)[..., None, None] for level in (share, 1 - share)]
    sizes = [
        effective_sample_size((chains <= end).to(chains)).nan_to_num(nan=in_halves) for end in ends
    ]
    return torch.where(ordered[..., 0] == ordered[..., -1], math.nan, torch.minimum(*sizes))


def split_rhat(chains: Tensor) -> Tensor:
    """Return the potential scale reduction of C chains of T >= 4 states, `(..., C, T)` -> `(...)`; 1 for agreement.

    Each chain is halved, so that one drifting chain does not agree with itself. NaN where no state differs from
    another, infinite where chains sit still at different values.
    """
    return _rhat(_halved(chains))


def effective_sample_size(chains: Tensor) -> Tensor:
    """Return the number of independent draws with the same variance of the mean, `(..., C, T)` -> `(...)`.

    It is computed from Geyer's initial monotone positive sequence on the split chains, with the first term of the pair
    that ends the sequence where that term is positive; at most `C T log10(C T)`. NaN where no state differs from
    another.
    """
    return _effective_size(_halved(chains))


def _rhat(halves: Tensor) -> Tensor:
    within, total = _variances(halves)
    return (total / within).sqrt()


def _effective_size(halves: Tensor) -> Tensor:
    num_states, size = halves.shape[-1], halves.shape[-2] * halves.shape[-1]
    within, total = _variances(halves)
    spectrum = torch.fft.rfft(halves - halves.mean(-1, keepdim=True), n=2 * num_states)
    # biased (divided by T), at the lags 0 to T - 1
    autocovariance = (
        torch.fft.irfft(spectrum.abs().square(), n=2 * num_states)[..., :num_states] / num_states
    )
    correlation = 1 - (within[..., None] - autocovariance.mean(-2)) / total[..., None]
    correlation[..., 0] = 1 + 0 * total  # keeps the NaN of chains without spread
    pairs = correlation[..., : num_states // 2 * 2].unflatten(-1, (-1, 2)).sum(-1)
    positive = (pairs > 0).cumprod(-1).bool() | pairs.isnan()
    if num_states >= FEW_STATES:
        positive[..., (num_states - 3) // 2 :] = False
    monotone = torch.where(positive, pairs, 0.0).cummin(-1).values
    end = positive.sum(-1, keepdim=True)
    evens = torch.nn.functional.pad(correlation[..., 0 : pairs.shape[-1] * 2 : 2], (0, 1))
    last = evens.gather(-1, end)
    # the sum ran out of lags before a pair ended it
    ran_out = torch.nn.functional.pad(pairs, (0, 1)).gather(-1, end) > 0
    last = torch.where(ran_out, last, last.clamp(min=0)).squeeze(-1)
    return size / (2 * monotone.sum(-1) - 1 + last).clamp(min=1 / math.log10(size))


def nested_rhat(chains: Tensor) -> Tensor:
    """Return the agreement of K groups of M chains of T states, `(..., K, M, T)` -> `(...)`; chains may be short.

    A group is an independent run, and only its mean is compared: its chains need not have mixed one by one. The result
    is 1 where all states are equal. Margossian et al. 2024, https://arxiv.org/abs/2110.13017
    """
    means = chains.mean(-1)
    within = means.var(-1) + (chains.var(-1).mean(-1) if chains.shape[-1] > 1 else 0)
    between = means.mean(-1).var(-1)
    rhat = (1 + between / within.mean(-1)).sqrt()
    return torch.where((between == 0) & (within == 0).all(-1), 1.0, rhat)


def clustered_effective_sample_size(chains: Tensor, cluster: Tensor) -> Tensor:
    """Return how many independent draws have the same variance of the mean, `(..., M, T)` -> `(...)`; at most M T.

    Chains of one `cluster` (M,) may depend on each other, those of different ones do not: with particles, a cluster is
    the descendants of one of them at the start. NaN with a single cluster. Lee & Whiteley 2018,
    https://arxiv.org/abs/1509.00394
    """
    number, length = chains.shape[-2:]
    _, cluster = cluster.unique(return_inverse=True)
    num_clusters = int(cluster.max()) + 1
    deviation = (chains - chains.mean((-2, -1), keepdim=True)).mean(-1)
    sums = deviation.new_zeros(*deviation.shape[:-1], num_clusters).index_add(
        -1, cluster, deviation
    )
    spread = (
        sums.square().sum(-1)
        / number**2
        * (num_clusters / (num_clusters - 1) if num_clusters > 1 else math.nan)
    )
    size = (chains.flatten(-2).var(-1) / spread).clamp_max(number * length)
    return torch.where(chains.flatten(-2).var(-1) == 0, float(number * length), size)


def _halved(chains: Tensor) -> Tensor:
    """Return the halves of all chains, `(..., C, T)` -> `(..., 2C, T // 2)`, without the middle state of an odd one."""
    num_states = chains.shape[-1]
    if num_states < MIN_STATES:
        raise ValueError(f"chains have {num_states} states, expected at least {MIN_STATES}")
    half = num_states // 2
    return torch.cat([chains[..., :half], chains[..., num_states - half :]], -2)


def _quantile(ordered: Tensor, level: float) -> Tensor:
    """Return a quantile, linear between the states, `(..., N)` ascending -> `(...)`, as SciPy's mquantiles rounds it.

    Where the quantile falls on a state, rounding decides on which side of it the state lies.
    """
    size = ordered.shape[-1]
    position = size * level + (1 + level * (1 - 1 - 1))
    below = min(max(math.floor(position), 1), size - 1)
    weight = min(max(position - below, 0.0), 1.0)
    return (1 - weight) * ordered[..., below - 1] + weight * ordered[..., below]


def _variances(halves: Tensor) -> tuple[Tensor, Tensor]:
    """Return W and var-plus: the variance within the chains, and within and between them."""
    num_states = halves.shape[-1]
    within = halves.var(-1).mean(-1)
    return within, within * (num_states - 1) / num_states + halves.mean(-1).var(-1)
