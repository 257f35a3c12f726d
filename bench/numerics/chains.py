"""Diagnostics of chains of images, by their log likelihood and their leading directions."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.numerics.diagnostics import (
    bulk_effective_sample_size,
    rank_normalised_rhat,
    tail_effective_sample_size,
)
from bench.numerics.distances import RESOLUTION

NUM_DIRECTIONS = 3  # principal directions of the reference draws
NUM_DRAWS = 128  # of which they are computed


def chain_diagnostics(
    log_likelihood: Tensor, projections: Tensor, num_chains: int
) -> dict[str, Tensor]:
    """Return R-hat and effective sample sizes, (m,) each, not finite where the chains do not move.

    log_likelihood: (m, s). projections: (m, s, k), in data units. Sample t C + c is state t of chain c; a last t that
    not all C chains have reached is left out.
    """
    # a direction without spread must not show rounding noise
    rounded = (projections / RESOLUTION).round()
    functionals = torch.cat([log_likelihood[..., None], rounded], -1).mT  # (m, functionals, s)
    num_states = functionals.shape[-1] // num_chains
    chains = functionals[..., : num_states * num_chains].unflatten(-1, (num_states, num_chains)).mT
    infinity = float("inf")
    return {
        "rhat": rank_normalised_rhat(chains).nan_to_num(nan=-infinity, posinf=infinity).amax(1),
        "ess_bulk": bulk_effective_sample_size(chains).nan_to_num(nan=infinity).amin(1),
        "ess_tail": tail_effective_sample_size(chains).nan_to_num(nan=infinity).amin(1),
    }


def principal_directions(draws: Tensor) -> Tensor:
    """Return the leading right singular vectors of some centred draws, (m, e, D) -> (m, D, NUM_DIRECTIONS)."""
    some = draws[:, :NUM_DRAWS]
    return (
        torch.linalg.svd(some - some.mean(1, keepdim=True), full_matrices=False)
        .Vh[:, :NUM_DIRECTIONS]
        .mT
    )
