"""Samples do not depend on how many are drawn in one call: every method, one and three channels, any sample count."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from bench.conformance.toy import ToyPrior, ToyProblem
from bench.core.registry import load, names, plugin_of
from bench.core.rng import Rng
from bench.runtime.run_method import chunks, joint_of

M, CHUNKS = 2, (1, 2, 7)  # measurements; rows in one call, compared with all at once
SHORT = {"num_chains": 3, "num_warmup": 2, "num_adapt": 1, "thin": 1}  # as many chains as channels
# a leapfrog beyond its limit of stability would make 1e-8 of a rounding error: short steps
SETTINGS: dict[str, dict] = {
    "aps": {
        "num_layers": 1,
        "num_iterations": 2,
        "num_simulated": 64,
        "batch_size": 16,
        "width": 8,
    },
    "dps": {"num_steps": 21},
    "hmc-data": {**SHORT, "space": "data", "step": 0.3},
    "hmc-latent": {**SHORT, "space": "latent", "step": 0.3},
    "latent_langevin": {**SHORT, "num_adam": 1},
    "latent_rwm": SHORT,
    "ods": {"num_iterations": 2},
    "oracle": {},
    "unconditional": {},
    "adam_map": {"num_steps": 5},
    "annealed_langevin": {"num_levels": 5},
    "dflow": {"num_steps": 5},
    "mpgd": {"num_steps": 25},
    "red_diff": {"num_steps": 21},
    "tv": {"num_steps": 20},
}
TINY = (
    "best_of_n",
    "daps",
    "ddrm",
    "diffpir",
    "lgd_mc",
    "mcgdiff",
    "mmps",
    "pigdm",
    "pnp_dm",
    "rejection",
    "rtb",
)
SETTINGS |= dict.fromkeys((*TINY, "tds", "wiener"), {})
# in float32, whose products are summed in another order; the others are exact
TOLERANCE = {"aps": 1e-5, "ods": 1e-5, "rtb": 1e-5}


def test_every_method_is_here():
    assert {plugin_of("method", row) for row in SETTINGS} == set(names("method"))


@cache
def setting(row: str, num_channels: int):
    """A method, its problem, measurements, and what training gives."""
    cls = load("method", plugin_of("method", row))
    method = cls(**{**getattr(cls, "tiny", {}), **SETTINGS[row]})
    problem, rng = ToyProblem(ToyPrior(num_channels)), Rng(("test", "chunks"), range(M))
    y = problem.simulate(problem.prior.sample(1, rng)[:, 0], rng)
    train = getattr(method, "train", None)
    state = {"state": train(problem.prior, problem, rng=Rng(("train",), [0]))} if train else {}
    return method, problem, y, state


def sample(row: str, num_channels: int, num_samples: int, rows_per_chunk: int) -> Tensor:
    """Draw as `bench.runtime.run_method.sample` does: by its rule what is split, and with its streams."""
    method, problem, y, state = setting(row, num_channels)
    splits = joint_of(method, num_samples)[0] == "independent"
    x = torch.full((M, num_samples, *problem.prior.shape), torch.nan, dtype=y.dtype)
    for rows, part in chunks(M, num_samples, rows_per_chunk, splits):
        rng = Rng(("sample",), range(M)[rows], part)
        x[rows, part.start : part.stop] = method.sample(
            problem.prior, problem, y[rows], len(part), rng=rng, **state
        )
    return x


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("num_samples", [1, 3, 16, 17])
@pytest.mark.parametrize("row", SETTINGS)
def test_no_chunk_moves_a_sample(row, num_samples, num_channels):
    with torch.no_grad():
        whole = sample(row, num_channels, num_samples, M * num_samples)
        for rows_per_chunk in CHUNKS:
            part = sample(row, num_channels, num_samples, rows_per_chunk)
            assert part.isfinite().all() and (part - whole).abs().max() <= TOLERANCE.get(row, 1e-12)
