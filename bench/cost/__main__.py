"""`python -m bench.cost overhead`: what DPS costs beside its network calls, and what batching its rows saves.

Options: --prior FOLDER (default results/default/priors/gmm; fitted on the spot where it is missing), --repeats N,
--out FILE.json (nothing is written without it).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from bench.artefacts import write_json
from bench.cli import run
from bench.cost.overhead import Batching, Overhead, batching, overhead
from bench.data import load
from bench.priors import load_prior
from bench.priors.fit import fit_gmm
from bench.priors.gmm import GMM
from bench.problems import make_problem
from bench.problems.problem import Problem
from bench.provenance import provenance
from bench.rng import Rng
from methods.dps import DPS

M, S = 16, 64
PRIOR = "results/default/priors/gmm"
MOST_OVERHEAD, LEAST_SPEEDUP, MOST_DIFFERENCE = 1.25, 10.0, 1e-5


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead"])
    parser.add_argument("--prior", type=Path, default=Path(PRIOR), help="folder of a fitted mixture")
    parser.add_argument("--repeats", type=int, default=7, help="timed pairs of a run and its bare network calls")
    parser.add_argument("--out", type=Path, help="also write the numbers to this JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    prior = _prior(options.prior)
    problem = make_problem("inpaint-box", {"box": 4}, 0.1, prior.shape)
    y = _measurements(prior, problem)

    beside = overhead(DPS(num_steps=200), prior, problem, y, S, options.repeats)
    print(overhead_in_words(beside), flush=True)
    together = batching(DPS(num_steps=21), prior, problem, y, S)
    print(batching_in_words(together))
    if options.out:
        results = {"overhead": _content(beside), "batching": _content(together), "m": M, "s": S}
        write_json(options.out, {**results, "provenance": provenance(threads=1)})


def overhead_in_words(result: Overhead) -> str:
    return (
        f"DPS on gmm, m = {M}, s = {S}, one thread: {_median(result.method)} CPU-s; its network calls made bare "
        f"({result.num_calls} forward, {result.num_backward} backward): {_median(result.network)} CPU-s.\n"
        f"Overhead {result.ratio:.2f} (at most {MOST_OVERHEAD}: {_verdict(result.ratio <= MOST_OVERHEAD)}); "
        f"{len(result.ratios)} repeats between {min(result.ratios):.2f} and {max(result.ratios):.2f}."
    )


def batching_in_words(result: Batching) -> str:
    return (
        f"{result.num_rows} rows in one call: {result.batched:.2f} CPU-s; one row at a time: "
        f"{result.one_by_one:.2f} CPU-s.\nBatching is {result.ratio:.0f} x faster (at least {LEAST_SPEEDUP:.0f} x: "
        f"{_verdict(result.ratio >= LEAST_SPEEDUP)}); the samples differ by at most {result.max_difference:.1e} "
        f"(at most {MOST_DIFFERENCE}: {_verdict(result.max_difference <= MOST_DIFFERENCE)})."
    )


def _prior(folder: Path) -> GMM:
    path = folder / "gmm.safetensors"
    if path.is_file():
        return load_prior(path)
    print(f"{path} is missing (the workflow makes it); fitting a mixture of 20 components now", flush=True)
    return fit_gmm(load("digits", {})["train"], num_components=20, shrinkage=30.0, floor=2e-3)


def _measurements(prior: GMM, problem: Problem) -> Tensor:
    rng = Rng(("overhead", "y"), range(M))
    return problem.simulate(prior.sample(1, rng)[:, 0], rng)


def _median(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def _content(result: Overhead | Batching) -> dict:
    return {**asdict(result), "ratio": result.ratio}


def _verdict(good: bool) -> str:
    return "met" if good else "NOT met"


if __name__ == "__main__":
    run(main)
