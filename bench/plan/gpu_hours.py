"""Estimate the GPU hours of a suite of large networks: network rows times operations per row, over a rate.

    hours = sum over runs of samples * (rows forward + rows backward) * operations of a row / rate / 3600

plus the rows of training. A gradient in the image, without those in the weights, takes as many operations as the row.
The rate is that of DPS on FFHQ in the published times of the suite `gpu_timing`. Without them it is that of the DPS
paper's own runs (78.52 s for 1000 steps on an image of FFHQ, its Figure 11b), on a GPU of 2018.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from bench.core.artefacts import read_csv
from bench.core.errors import UserError
from bench.core.layout import REFERENCE
from bench.core.registry import load
from bench.core.shipped import shipped
from bench.plan.config import module_of, settings_of
from bench.plan.entries import num_measurements_of
from bench.plan.suite import Suite

# multiplications and additions of one row forward, in 1e9, of networks by architecture, checkpoint or suite, at their
# own size; tests/plan/test_gpu_hours.py counts them
GFLOP = {
    "adm-ffhq-256": 387.9,
    "adm-imagenet-256": 2239.7,
    "consistency-lsun-256": 2238.7,
    "consistency-imagenet-64": 219.3,
    "torchcfm-cifar10": 12.44,
    "ddpm-cifar10-32": 12.44,
    "aps_celeba": 0.981,  # trained by that suite
}
SAME_NETWORK = {"diffusers-cd_imagenet64_l2": "consistency-imagenet-64"}
DPS_SECONDS, DPS_ROWS = 78.52, 2000  # forward and backward, of 1000 steps
ODE_STEPS = 10  # of families without a field for it


@dataclass(frozen=True)
class Rate:
    """Operations per second, and where the number is from."""

    gflops: float
    source: str


def rate() -> Rate:
    """Return the rate of gpu_timing's DPS row on FFHQ, or that of the paper's runs."""
    try:
        text, _ = read_csv(shipped(str(REFERENCE / "gpu_timing" / "timing.csv")))
    except UserError:
        return Rate(GFLOP["adm-ffhq-256"] * DPS_ROWS / DPS_SECONDS, "the DPS paper, Figure 11b")
    timed = [row for row in csv.DictReader(io.StringIO(text)) if row["status"] == "ok"]
    on_ffhq = [row for row in timed if (row["task"], row["method"]) == ("ffhq-inpaint-box", "dps")]
    fastest = min(float(row["ms_per_nfe"]) for row in on_ffhq)
    return Rate(2 * GFLOP["adm-ffhq-256"] * 1000 / fastest, "gpu_timing")


def gpu_hours(suite: Suite) -> float | None:
    """Return the hours of all runs of a suite, without the training of its priors; None for networks not in GFLOP."""
    gflop = 0.0
    for task, row, _ in suite.runs:
        prior = suite.content["priors"][suite.prior_of(task)]
        cost = gflop_of(prior) or GFLOP.get(suite.content["name"])
        if cost is None:
            return None
        gflop += cost * rows_of_run(suite, task, row)
    return gflop / rate().gflops / 3600


def gflop_of(prior: Mapping[str, Any]) -> float | None:
    """Return the operations of a row forward, in 1e9; None for a network that is not known here."""
    named = str(prior.get("pipeline", "")).rpartition("/")[2]
    name = prior.get("architecture") or SAME_NETWORK.get(named, named)
    return GFLOP.get(name) if isinstance(name, str) else None


def rows_of_run(suite: Suite, task: str, row: str) -> float:
    """Return the rows of a run, forward and backward, training included."""
    content, entry = suite.content, suite.content["priors"][suite.prior_of(task)]
    method = load("method", module_of(content, row))(**settings_of(content, task, row))
    prior = stand_in(entry)
    num_measured = suite.restriction(row).get(
        "num_measurements", num_measurements_of(content, task)
    )
    num_measured = min(num_measured, num_measurements_of(content, task))
    num_samples = content["num_samples"]
    nfe = method.nfe(prior, num_samples)
    sampling = num_measured * num_samples * (nfe.forward + nfe.backward)
    return sampling + (training_rows(method, prior) if suite.trains(row) else 0)


def training_rows(method: Any, prior: Any) -> float:
    """Return the rows of an amortised training, forward and backward."""
    if getattr(method, "amortised", True) and hasattr(method, "rows_in_training"):
        return (method.rows_in_training + method.gradients_in_training) * prior.decode_nfe
    if hasattr(method, "num_pairs"):  # paths of RTB, and single steps before them
        paths = (1 - method.warm_start) * method.num_groups * method.group_size * method.num_steps
        steps = method.warm_start * method.num_pairs
        return method.num_simulated * prior.sample_nfe + method.num_iterations * (paths + steps)
    if hasattr(method, "batch_size") and hasattr(method, "warm_start"):
        descents = (1 - method.warm_start) * method.num_iterations * method.batch_size
        return method.num_simulated * prior.sample_nfe + 2 * descents
    return 0.0


def stand_in(entry: Mapping[str, Any]) -> Any:
    """Return the attributes of a prior that the costs of methods depend on: network calls of a decoded row, a draw."""
    calls = entry.get("num_steps") or 2 * entry.get("num_ode_steps", ODE_STEPS) - 1
    return SimpleNamespace(
        decode_nfe=calls, sample_nfe=calls, shape=(3, 1, 1), latent_shape=(3, 1, 1)
    )
