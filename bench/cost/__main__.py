"""Measure what the harness costs:

    python -m bench.cost [overhead] [batching] [orchestration] [growth] [pairs] [mfa] [learned] [peers] [sizes]
        [repeatability]

Each question is answered by a ratio of CPU seconds of one thread, both measured in the same run. Without a name all
questions but the last are answered.

overhead: every method compared with its network calls alone, on the mixture, the digits' UNet and a larger one.
batching: DPS on all measurements and samples in one batch, compared with one row at a time.
orchestration: the share of a whole workflow's CPU seconds outside sampling, training and metrics (--suite, --cores).
growth: seconds and memory at 1, 2, 4 and 8 times as many measurements, samples and pixels along a side.
pairs: perceptual diversity from one network pass per sample, compared with one per pair (--side, --naive).
mfa: the denoiser of a mixture of factor analysers, compared with the matrix products that it needs.
learned: a mixture of factor analysers and a learned diffusion model on the same test crops: losses, bits, seconds.
peers: DPS of this project, azula and deepinv, relative to the network alone: pip install "posterior-bench[peers]".
sizes: seconds and peak memory of every method on colour images of 32 to 256 pixels a side.
repeatability: whether two runs of the clock agree within their spread (--suite: a finished suite with a clock).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
from pathlib import Path

import torch

from bench.core.errors import UserError
from bench.cost.common import Options
from bench.cost.record import record
from bench.runtime.job import keep_memory, run
from bench.runtime.lease import lease

QUESTIONS = (
    "overhead",
    "batching",
    "orchestration",
    "growth",
    "pairs",
    "mfa",
    "learned",
    "peers",
    "sizes",
    "repeatability",
)
ALONE = ("orchestration", "repeatability")  # their jobs wait for the machine themselves
# of the fields of `Options`
HELP = {
    "priors": "folder of a suite's priors",
    "repeats": "how often each of the things compared is timed",
    "side": "pairs: pixels along an image",
    "largest": "sizes: pixels along a side of the largest images",
    "naive": "pairs: measurements done pair by pair, up to 16",
    "suite": "orchestration, repeatability: a suite's name",
    "cores": "orchestration: cores of snakemake",
}


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", help=", ".join(QUESTIONS))
    for name, text in HELP.items():
        default = getattr(Options(), name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=text)
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for <what>.json and <what>.md; left out, nothing is written",
    )
    given = parser.parse_args(arguments)
    options = Options(**{name: getattr(given, name) for name in HELP})
    torch.set_num_threads(1)
    keep_memory()  # as each job does: else each step asks the system for its memory again
    for what in wanted(given.what):
        answer(what, options, given.out)


def wanted(names: list[str]) -> list[str]:
    """Return the questions to answer, all but the last by default; raise UserError for an unknown one."""
    for name in names:
        if name not in QUESTIONS:
            raise UserError(f"python -m bench.cost {name}: expected one of {', '.join(QUESTIONS)}")
    return names or list(QUESTIONS[:-1])


def answer(what: str, options: Options, out: Path | None) -> None:
    """Answer one question: print the result and, with `out`, write it. Waits while a clock holds the machine."""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    with contextlib.nullcontext() if what in ALONE else lease():
        numbers = importlib.import_module(f"bench.cost.{what}").measure(options, say)
    if out:
        record(out, what, numbers, lines)


if __name__ == "__main__":
    run(main, leased=False)
