"""`python -m bench.cost overhead | pairs`: what our way of computing costs beside another way of the same.

overhead: DPS beside its network calls, and one batch beside row by row. Options: --prior FOLDER (default
results/default/priors/gmm; fitted on the spot where it is missing), --repeats N.
pairs: the mean LPIPS between 64 samples of 16 measurements from one pass of the backbone per sample, beside package
lpips on each pair. On random weights, which cost what others do. Options: --side PIXELS, --naive N (measurements that
are also done naively; 16 of them take minutes).
Both: --out FILE.json (nothing is written without it).
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
from bench.cost.pairs import Pairs, compare_pairs
from bench.data import load
from bench.metrics.perceptual import embedded, lpips_embedding, pairwise, untrained_lpips
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
LEAST_SPEEDUP_OF_PAIRS = 20.0


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "pairs"])
    parser.add_argument("--prior", type=Path, default=Path(PRIOR), help="folder of a fitted mixture")
    parser.add_argument("--repeats", type=int, default=7, help="timed pairs of a run and its bare network calls")
    parser.add_argument("--side", type=int, default=64, help="pixels along an image of which distances are taken")
    parser.add_argument("--naive", type=int, default=2, help="measurements of which each pair is passed, up to 16")
    parser.add_argument("--out", type=Path, help="also write the numbers to this JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = _overhead(options.prior, options.repeats) if options.what == "overhead" else _pairs(options)
    if options.out:
        write_json(options.out, {**results, "m": M, "s": S, "provenance": provenance(threads=1)})


def _overhead(folder: Path, repeats: int) -> dict:
    prior = _prior(folder)
    problem = make_problem("inpaint-box", {"box": 4}, 0.1, prior.shape)
    y = _measurements(prior, problem)
    beside = overhead(DPS(num_steps=200), prior, problem, y, S, repeats)
    print(overhead_in_words(beside), flush=True)
    together = batching(DPS(num_steps=21), prior, problem, y, S)
    print(batching_in_words(together))
    return {"overhead": _content(beside), "batching": _content(together)}


def _pairs(options: argparse.Namespace) -> dict:
    network = untrained_lpips("alex")
    embed = lpips_embedding(network)
    samples = Rng(("pairs", options.side), range(M), dtype=torch.float32).randn((S, 3, options.side, options.side))

    def mean_pairwise(x: Tensor) -> float:
        return pairwise(embedded(x, embed)).sum().item() / (len(x) * (len(x) - 1))

    result = compare_pairs(samples.clamp(-1, 1), network, mean_pairwise, min(options.naive, M))
    print(pairs_in_words(result))
    return {"pairs": _content(result), "side": options.side}


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


def pairs_in_words(result: Pairs) -> str:
    return (
        f"Mean LPIPS (alex) between {S} samples, CPU-s per measurement: {_median(result.cached)} from one pass per "
        f"sample ({result.num_measurements} measurements), {_median(result.naive)} from a pass per pair "
        f"({len(result.naive)} of them).\nOne pass per sample is {result.ratio:.0f} x faster (at least "
        f"{LEAST_SPEEDUP_OF_PAIRS:.0f} x: {_verdict(result.ratio >= LEAST_SPEEDUP_OF_PAIRS)}); the distances differ by "
        f"at most {result.max_difference:.1e} of their value (at most {MOST_DIFFERENCE}: "
        f"{_verdict(result.max_difference <= MOST_DIFFERENCE)})."
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


def _content(result: Overhead | Batching | Pairs) -> dict:
    return {**asdict(result), "ratio": result.ratio}


def _verdict(good: bool) -> str:
    return "met" if good else "NOT met"


if __name__ == "__main__":
    run(main)
