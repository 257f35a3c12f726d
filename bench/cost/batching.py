"""Time DPS on all measurements and samples in one batch, and the same code row by row."""

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
    """Return both priors' results by name."""
    return {
        "gmm": compare("gmm", gmm(options.priors, say), *GMM_ROWS, say),
        "digits": compare("digits", digits(options.priors, say), *DIGITS_ROWS, say),
    }


def compare(name: str, prior: Prior, m: int, s: int, say: Say) -> Json:
    """Return seconds and the largest difference of samples on one prior, m measurements with s samples each."""
    problem = inpainting(prior.shape)
    # the smallest number of steps that its schedule allows, so that rounding errors grow little
    method = load("method", "dps")(num_steps=21)
    result = compare_with_single_rows(method, prior, problem, measurements(prior, problem, m), s)
    say(format_batching(name, result))
    return {**asdict(result), "ratio": result.ratio, "m": m, "s": s}


def format_batching(name: str, result: Batching) -> str:
    """Return the result in one line."""
    return (
        f"DPS on {name}, {result.num_rows} rows in one call: {result.batched:.2f} CPU-s; one row at a time: "
        f"{result.one_by_one:.2f} CPU-s. Batching is {result.ratio:.1f} x faster "
        f"({at_least(result.ratio, LEAST_SPEEDUP)}); the samples differ by at most {result.max_difference:.1e} "
        f"({at_most(result.max_difference, MOST_DIFFERENCE)})."
    )
