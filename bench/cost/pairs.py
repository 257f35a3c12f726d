"""Time the mean LPIPS between samples: one pass of its network per sample, and the package lpips on each pair.

The weights are random, which cost as much as trained ones.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.cost.common import Options, Say, at_least, at_most, format_range
from bench.cost.comparisons import PairwiseDistances, compare_pairwise
from bench.metrics._embeddings import embedded, lpips_embedding, pairwise, untrained_lpips

M, S = 16, 64
LEAST_SPEEDUP, MOST_DIFFERENCE = 20.0, 1e-5


def measure(options: Options, say: Say) -> Json:
    """Return seconds per measurement of both ways, on normal draws of `options.side` pixels a side."""
    network = untrained_lpips("alex")
    embed = lpips_embedding(network)
    samples = Rng(("pairs", options.side), range(M), dtype=torch.float32).randn(
        (S, 3, options.side, options.side)
    )

    def mean_pairwise(x: Tensor) -> float:
        return pairwise(embedded(x, embed)).sum().item() / (len(x) * (len(x) - 1))

    result = compare_pairwise(samples.clamp(-1, 1), network, mean_pairwise, min(options.naive, M))
    say(format_pairs(result))
    return {**asdict(result), "ratio": result.ratio, "side": options.side, "m": M, "s": S}


def format_pairs(result: PairwiseDistances) -> str:
    """Return the result in one line."""
    return (
        f"Mean LPIPS (alex) between {S} samples, CPU-s per measurement: {format_range(result.cached)} from one pass "
        f"per sample ({result.num_measurements} measurements), {format_range(result.naive)} from a pass per pair "
        f"({len(result.naive)} of them). One pass per sample is {result.ratio:.0f} x faster "
        f"({at_least(result.ratio, LEAST_SPEEDUP)}); the distances differ by at most {result.max_difference:.1e} of "
        f"their value ({at_most(result.max_difference, MOST_DIFFERENCE)})."
    )
