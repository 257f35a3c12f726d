"""Effects of rounding: `python -m bench.cost.precision results/<suite>/specs/runs/<task>/<method>/seed<k>.json ...`.

Each run is drawn again in every precision, with the same random numbers. Reported are the distances of network calls
and samples from those of the first precision, and of samples from the reference draws. Rounding can make a chain refuse
a proposal that it accepted before, so that its samples change while their distance to the reference does not. In
float64, networks still compute in float32. A suite that only measures times has no samples: of its specs,
results/<suite>/specs/clock/<task>/<method>/seed<k>.json, the network calls alone are compared.
Options: --precisions, --device cuda, --measurements N (the first ones), --out FILE without its ending (FILE.json and
FILE.md).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import Json, read_tensors, write_bytes, write_json
from bench.core.compute import Compute
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.rng import Rng
from bench.core.specs import ClockSpec, RunSpec
from bench.core.text import markdown
from bench.core.types import Cap, Prior
from bench.numerics.distances import projected, sliced_wasserstein2
from bench.runtime.devices import computing, networks_of
from bench.runtime.job import run
from bench.runtime.memory import synchronise
from bench.runtime.run_method import Draws, load_method, refuse_unmet, sample
from bench.runtime.stopwatch import machine
from bench.task import open_task

SIGMAS = (0.1, 1.0, 10.0)
ROWS_OF_AUTO = 1024  # rows in a chunk where the suite says "auto"; samples do not depend on it
DISTANCE = (
    "Distance: sliced Wasserstein-2 with 128 directions, mean over measurements, to the reference draws; where the "
    "prior is a map distilled from one whose posterior is exact, to draws of that one's. Change: from the first "
    "precision, mean and standard error over measurements."
)
HEADS = (
    "run",
    "precision",
    "networks",
    "call: RMS",
    "call: largest",
    "samples: RMS",
    "samples: largest",
)
HEADS += ("distance to reference", "change of it", "seconds")


def main(*arguments: str) -> None:
    """Compare precisions on the runs named in the command line."""
    options = _parsed(arguments)
    names = options.precisions or [
        "float64",
        "float32",
        *(["tf32"] if options.device == "cuda" else []),
        "bf16",
    ]
    rows: list[Json] = []
    for path in options.specs:
        times_only = "clock" in Path(path).parts
        spec: RunSpec | ClockSpec = (ClockSpec if times_only else RunSpec).read(path)
        if not times_only and spec.trains:
            raise UserError(
                f"{path}: {spec.method} is trained, and this draws samples only; name another run"
            )
        rows += compared(
            spec, [Compute(options.device, name) for name in names], options.measurements
        )
        print("\n".join(line(row) for row in rows[-len(names) :]), flush=True)
    if options.out:
        where = {
            "measurements": options.measurements,
            "machine": machine(torch.device(options.device)),
        }
        made = provenance(options.device, torch.get_num_threads())
        write_json(options.out.with_suffix(".json"), {"rows": rows, **where, "provenance": made})
        write_bytes(options.out.with_suffix(".md"), page(rows, where, made).encode())


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line; precisions are None if left out."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cost.precision", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("specs", nargs="+", help="specs of runs of a finished suite, or of clocks")
    parser.add_argument(
        "--precisions", nargs="+", help="default: float64 float32 bf16, and tf32 on a GPU"
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--measurements", type=int, default=4, help="how many of each task")
    parser.add_argument("--out", type=Path, help="also write FILE.json and FILE.md")
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Drawn:
    """One run in one precision. calls: outputs of network calls. distances (m,): from samples to reference draws.

    samples and distances are None where only the network calls are compared; seconds are theirs then.
    """

    calls: Tensor
    samples: Tensor | None
    distances: Tensor | None
    num_networks: int
    seconds: float


def compared(
    spec: RunSpec | ClockSpec, computes: list[Compute], num_measurements: int
) -> list[Json]:
    """Return a row for each precision; differences are from the first one."""
    all_drawn = [drawn(spec, compute, num_measurements) for compute in computes]
    first, rows = all_drawn[0], []
    for compute, other in zip(computes, all_drawn, strict=True):
        row: Json = {
            "task": spec.task,
            "method": spec.method,
            "precision": compute.precision,
            "networks": other.num_networks,
            "call": difference(other.calls, first.calls),
            "seconds": other.seconds,
        }
        rows.append(row | effect_on_samples(other, first))
    return rows


def effect_on_samples(other: Drawn, first: Drawn) -> Json:
    """Return the distances between samples and what they change; {} where only network calls are compared."""
    if other.samples is None or first.samples is None:
        return {}
    assert other.distances is not None and first.distances is not None
    change = other.distances - first.distances
    return {
        "samples": difference(other.samples, first.samples),
        "sw2-128": other.distances.mean().item(),
        "change": change.mean().item(),
        "change_standard_error": change.std().item() / len(change) ** 0.5,
    }


def drawn(spec: RunSpec | ClockSpec, compute: Compute, num_measurements: int) -> Drawn:
    """Draw the samples of a run again in one precision, and compare them with the reference draws."""
    with computing(compute) as device:
        task = open_task(spec, compute, device).first(num_measurements)
        num_networks = len(networks_of(task.prior))
        if isinstance(spec, ClockSpec):
            network_calls(task.prior, task.x_true)  # the first calls choose kernels
            synchronise(device)
            begin = time.perf_counter()
            calls = network_calls(task.prior, task.x_true)
            synchronise(device)
            seconds = time.perf_counter() - begin
            return Drawn(calls.cpu().double(), None, None, num_networks, seconds)
        method = load_method(spec.module, spec.settings)
        refuse_unmet(method, task.prior, task.problem)
        rows = spec.rows_per_chunk if isinstance(spec.rows_per_chunk, int) else ROWS_OF_AUTO
        draws = Draws(spec.task, spec.seed, spec.num_samples, rows)
        begin = time.perf_counter()
        x = sample(method, task.prior, task.problem, task.measured, draws).cpu().double()
        synchronise(device)
        seconds = time.perf_counter() - begin
        calls = network_calls(task.prior, task.x_true).cpu().double()
    draws_of_reference = read_tensors(spec.layout.task(spec.task).reference)[0]
    reference = draws_of_reference.get("teacher_a", draws_of_reference["x_a"])[: len(x)].double()
    distances = sliced_wasserstein2(projected(x.flatten(2)), projected(reference.flatten(2)))
    return Drawn(calls, x, distances, num_networks, seconds)


@torch.no_grad()
def network_calls(prior: Prior, x_true: Tensor) -> Tensor:
    """Return E[x | x_t] at SIGMAS where there is a denoiser, decoded noise where there is a decoder: (calls, m, *x)."""
    m, outputs = len(x_true), []
    rng = Rng(
        ("precision", "noise"), range(m), range(0), x_true.dtype, x_true.device, drawn=torch.float64
    )
    if Cap.DENOISER in prior.caps:
        for sigma in SIGMAS:
            outputs.append(
                prior.denoise(
                    x_true + sigma * rng.randn(prior.shape), torch.tensor(sigma).to(x_true)
                )
            )
    if Cap.DECODER in prior.caps:
        outputs.append(prior.decode(rng.randn(prior.latent_shape)))
    return torch.stack(outputs)


def difference(x: Tensor, y: Tensor) -> Json:
    """Return root mean square and largest difference."""
    apart = (x - y).abs()
    return {"rms": apart.square().mean().sqrt().item(), "largest": apart.max().item()}


def cells(row: Json) -> list[str]:
    name = f"{row['task']}: {row['method']}"
    numbers = [
        f"{row[what][of]:.1e}" if what in row else "n/a"
        for what in ("call", "samples")
        for of in ("rms", "largest")
    ]
    effect = ["n/a", "n/a"]
    if "change" in row:
        change = f"{row['change']:+.1e} ± {row['change_standard_error']:.0e}"
        effect = [f"{row['sw2-128']:.4f}", change]
    facts = [name, row["precision"], str(row["networks"])]
    return [*facts, *numbers, *effect, f"{row['seconds']:.3g}"]


def line(row: Json) -> str:
    return "; ".join(f"{head} {cell}" for head, cell in zip(HEADS, cells(row), strict=True))


def page(rows: list[Json], where: Json, made: Json) -> str:
    table = [
        list(HEADS),
        [":--", ":--", *["--:"] * (len(HEADS) - 2)],
        *(map(markdown, cells(row)) for row in rows),
    ]
    ran = ", ".join(str(value) for value in where["machine"].values())
    measurements = (
        f"{where['measurements']} measurements of each task. Differences, in data units, from the first precision of a "
        "run on the same random numbers; networks are float32 in float64, too. A prior without networks is computed in "
        "closed form, in float32 for bf16."
    )
    origin = (
        f"Made by `{made['command']}` at {made['commit'][:12]}, torch {made['versions']['torch']}, {made['threads']} "
        f"thread, on {ran}. Seconds are of the wall, beside other work: for orientation only."
    )
    notes = [measurements, DISTANCE, origin]
    lines = [
        "# Precision",
        "",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run(main)
