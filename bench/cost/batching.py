"""DPS on all measurements and samples in one batch, beside the same code row by row."""

from __future__ import annotations

from dataclasses import asdict

from bench.core.artefacts import Json
from bench.core.registry import load
from bench.core.types import Prior
from bench.cost.common import Options, Say, at_least, at_most
from bench.cost.comparisons import Batching, compare_with_single_rows
from bench.cost.subjects import digits, gmm, inpainting, measurements

GMM_ROWS, DIGITS_ROWS = (16, 64), (16, 16)  # m and s
LEAST_SPEEDUP, MOST_DIFFERENCE = 10.0, 1e-5


def measure(options: Options, say: Say) -> Json:
    cases = {"gmm": (gmm(options.priors, say), *GMM_ROWS), "digits": (digits(options.priors, say), *DIGITS_ROWS)}
    return {name: one(name, *case, say) for name, case in cases.items()}


def one(name: str, prior: Prior, m: int, s: int, say: Say) -> Json:
    problem = inpainting(prior.shape)
    # as few steps as DPS's schedule has: rounding has little time to grow
    result = compare_with_single_rows(
        load("method", "dps")(num_steps=21), prior, problem, measurements(prior, problem, m), s
    )
    say(in_words(name, result))
    return {**asdict(result), "ratio": result.ratio, "m": m, "s": s}


def in_words(name: str, result: Batching) -> str:
    return (
        f"DPS on {name}, {result.num_rows} rows in one call: {result.batched:.2f} CPU-s; one row at a time: "
        f"{result.one_by_one:.2f} CPU-s. Batching is {result.ratio:.1f} x faster "
        f"({at_least(result.ratio, LEAST_SPEEDUP)}); the samples differ by at most {result.max_difference:.1e} "
        f"({at_most(result.max_difference, MOST_DIFFERENCE)})."
    )
