"""One sampling job: chunks change nothing, and a method's fault becomes the status of its run, with a reason."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
import torch
from helpers.drop_in import drop_in_method  # noqa: F401 (a fixture)
from helpers.metric_values import COLUMNS, COLUMNS_OF_TASK
from helpers.two_tasks import SHAPE, TASKS, M, S, root_of_two_tasks, run_spec  # noqa: F401 (a fixture)
from torch import Tensor

from bench.core.artefacts import read_csv, read_json, read_tensors, write_json
from bench.priors import load_prior, prior_path
from bench.problems.measurements import problem_of, read_measurements
from bench.problems.posteriors import posterior_of
from bench.runtime import run_method as runs
from bench.stages import evaluate, sample

POLITE = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from bench.core.types import Cap
__all__ = ["Dropped"]

@dataclass(frozen=True)
class Dropped:
    needs: ClassVar[Cap] = Cap.RESIDUAL
    search: ClassVar[dict] = {}
    scale: float = 0.1

    def sample(self, prior, problem, y, num_samples, *, rng):
        x = y[:, None] + self.scale * rng.per_sample.randn(prior.shape)
        return x
"""
RETURN, NEEDS, ALL = "return x\n", "Cap.RESIDUAL", '__all__ = ["Dropped"]'
SINS = {  # what is replaced, by what, and the status and reason that follow
    "raises": (
        RETURN,
        "raise ValueError('no convergence\\nsecond line')\n",
        "failed",
        "ValueError: no convergence (methods/raises.py, line 16)",
    ),
    "raises_nothing": (RETURN, "raise RuntimeError\n", "failed", "RuntimeError: no message"),
    "exits": (RETURN, "raise SystemExit(3)\n", "failed", "SystemExit: 3"),
    "infinite_in_float32": (
        RETURN,
        "return 1e200 + x\n",
        "failed",
        "ValueError: no sample is finite",
    ),
    "all_nan": (RETURN, "return torch.nan * x\n", "failed", "ValueError: no sample is finite"),
    "wrong_shape": (
        RETURN,
        "return x.flatten(0, 1)\n",
        "failed",
        "ValueError: sample() returned (18, 1, 8, 8), expected a tensor of shape (3, 6, 1, 8, 8)",
    ),
    "no_tensor": (
        RETURN,
        "return x.numpy()\n",
        "failed",
        "ValueError: sample() returned ndarray, expected a tensor of shape (3, 6, 1, 8, 8)",
    ),
    "integers": (
        RETURN,
        "return x.long()\n",
        "failed",
        "ValueError: sample() returned torch.int64, expected floating-point numbers",
    ),
    "needs_much": (
        NEEDS,
        "Cap.RESIDUAL | Cap.LINEAR | Cap.DENSITY",
        "n/a",
        "needs DENSITY, LINEAR",
    ),
    "bad_import": (
        "import torch\n",
        "import no_such_package\n",
        "failed",
        "ModuleNotFoundError: No module named 'no_such_package'",
    ),
    "bad_syntax": ("@dataclass", "@@dataclass", "failed", "SyntaxError: invalid syntax"),
    "no_all": (
        ALL,
        "",
        "failed",
        "ValueError: __all__ is None in methods/no_all.py; expected exactly one name",
    ),
    "two_names": (
        ALL,
        '__all__ = ["Dropped", "Cap"]',
        "failed",
        "ValueError: __all__ is ['Dropped', 'Cap']",
    ),
    "wrong_name": (
        ALL,
        '__all__ = ["Droped"]',
        "failed",
        "ValueError: __all__ is ['Droped'] in methods/wrong_name.py",
    ),
    "no_needs": (
        "    needs: ClassVar[Cap] = Cap.RESIDUAL\n",
        "",
        "failed",
        "AttributeError: 'Dropped' object has no",
    ),
    "odd_joint": (
        "    scale",
        "    joint: ClassVar[str] = 'both'\n    scale",
        "failed",
        "ValueError: joint is 'both'; expected one of independent, chain, coupled",
    ),
    "no_chains": (
        "    scale",
        "    joint: ClassVar[str] = 'chain'\n    num_chains: int = 0\n    scale",
        "failed",
        "ValueError: num_chains is 0; expected a positive integer",
    ),
}


def run(root: Path, module: str, **changes: object) -> tuple[Tensor, dict, dict]:
    """Samples, header and cost of one job. It returns, so that the command exits with 0, whatever the method does."""
    spec = run_spec(root, module, **changes)
    write_json(root / f"specs/runs/{module}.json", spec)
    sample.main(str(root / f"specs/runs/{module}.json"))
    folder = root / "runs" / spec["task"] / module / "seed0"
    tensors, header = read_tensors(folder / "samples.safetensors")
    return tensors["x"], header, read_json(folder / "cost.json")


@pytest.mark.parametrize("splits", [True, False])
@pytest.mark.parametrize("rows_per_chunk", [1, 2, 5, 6, 7, 12, 13, 1000])
def test_chunks_cover_everything_once(rows_per_chunk, splits):
    m, s = 5, 6
    calls = list(runs.chunks(m, s, rows_per_chunk, splits))
    covered = Counter((i, j) for rows, samples in calls for i in range(m)[rows] for j in samples)
    assert covered == Counter((i, j) for i in range(m) for j in range(s))
    largest = max(len(range(m)[rows]) * len(samples) for rows, samples in calls)
    assert largest <= (rows_per_chunk if splits else max(rows_per_chunk, s))
    assert splits or all(samples == range(s) for _, samples in calls)


def test_a_budget_that_is_too_small_is_the_result(root):
    x, header, cost = run(
        root, "dps", task="gmm-denoise", settings={"num_steps": 25}, budget={"nfe": 20}
    )
    assert (
        header["status"] == "n/a"
        and header["reason"] == "needs more than the budget of 20 network rows per sample"
    )
    assert x.shape[1] == 0 and 18 <= cost["nfe"] + cost["nfe_vjp"] <= 20
    _, header, _ = run(
        root, "dps", task="gmm-denoise", settings={"num_steps": 25}, budget={"nfe": 50}
    )
    assert header["status"] == "ok"


SMALL = {"num_chains": 2, "num_adam": 2, "num_warmup": 3, "num_adapt": 2, "thin": 1}


@pytest.mark.parametrize(
    ("module", "settings"),
    [("dps", {"num_steps": 25}), ("latent_langevin", SMALL), ("oracle", {}), ("unconditional", {})],
)
def test_any_chunk_size_gives_the_same_samples(root, module, settings):
    prior = load_prior(prior_path(root, "gmm", "gmm"))
    measurements = read_measurements(root / "tasks/gmm-denoise/observations.safetensors")
    plain = problem_of(measurements.header, SHAPE)
    problem = problem_of(measurements.header, SHAPE, posterior_of(prior, plain))
    method = runs.load_method(module, settings)

    def drawn(rows_per_chunk: int) -> Tensor:
        draws = runs.Draws("gmm-denoise", 0, S, rows_per_chunk)
        return runs.sample(method, prior, problem, measurements, draws)

    whole = drawn(1000)
    for rows_per_chunk in (1, 4, 12):
        # products of other shapes round differently: 1e-16 a step, times the condition numbers (below 1e3) of 25 steps
        torch.testing.assert_close(drawn(rows_per_chunk), whole, rtol=1e-10, atol=1e-10)


def test_a_good_run(root, drop_in):
    drop_in("polite", POLITE)
    x, header, cost = run(root, "polite", settings={"scale": 0.2})
    measurements = read_measurements(root / "tasks/atoms-saturate/observations.safetensors")
    assert x.shape == (M, S, *SHAPE) and x.dtype == torch.float32
    # 192 differences in the mean of each measurement's 6 samples: their spread is 0.2 within 5 %
    assert (x - measurements.y[:, None]).std().item() == pytest.approx(0.2, rel=0.1)
    facts = ("status", "reason", "joint", "num_chains")
    assert [header[fact] for fact in facts] == ["ok", "", "independent", None]
    assert header["settings"] == {"scale": 0.2} and header["method"] == header["module"] == "polite"
    assert header["observations_sha256"] == measurements.header["observations_sha256"]
    assert cost["rows"] == M * S and cost["nfe"] == cost["nfe_vjp"] == 0 and cost["seconds"] > 0


def test_cost_is_per_sample_and_chains_are_in_the_header(root):
    _, header, cost = run(root, "latent_langevin", task="gmm-denoise", settings=SMALL)
    assert (header["joint"], header["num_chains"]) == ("chain", 2)
    # 2 chains of 3 states are 6 samples, and each pays for a third of a chain: 2 Adam + 3 curvature + 4 warm-up
    # + 2 adaptation + 3 moves make 14 evaluations of 28 calls (7 ODE steps of 4), and 3 more decode the states
    assert cost["nfe"] == pytest.approx((14 + 3) * 28 / 3) and cost["nfe_vjp"] == pytest.approx(
        14 * 28 / 3
    )
    _, _, cost = run(root, "dps", settings={"num_steps": 25}, rows_per_chunk=5)
    assert cost["nfe"] == cost["nfe_vjp"] == 25


KNOWS = """
    def diagnose(self, prior, problem, y, num_paths, *, rng):
        return {"log_z": rng.randn(()), "num_ancestors": y.new_full((len(y),), num_paths)}
"""


def test_a_method_that_is_not_trained_may_say_how_good_it_is(root, drop_in):
    drop_in("knows", POLITE + KNOWS)
    run(root, "knows", rows_per_chunk=5)
    folder = root / "runs/atoms-saturate/knows/seed0"
    tensors, _ = read_tensors(folder / "samples.safetensors")
    assert tensors["diagnosis.num_ancestors"].tolist() == [S] * M
    # in chunks of a measurement each, with a stream of its own
    assert len(tensors["diagnosis.log_z"].unique()) == M


@pytest.mark.parametrize("sin", SINS)
def test_a_fault_becomes_a_status_with_a_reason(root, drop_in, sin):
    old, new, status, reason = SINS[sin]
    assert POLITE.count(old) >= 1
    drop_in(sin, POLITE.replace(old, new))
    x, header, cost = run(root, sin)
    assert (
        header["status"] == status and reason in header["reason"] and "\n" not in header["reason"]
    )
    assert x.shape == (M, 0, *SHAPE)
    assert cost["rows"] == M * S and cost["seconds"] is None


def test_a_broken_measurement_does_not_affect_the_others(root, drop_in):
    drop_in("one_nan", POLITE.replace(RETURN, "x[1] = torch.nan; return x\n"))
    x, header, _ = run(root, "one_nan")
    assert header["status"] == "ok" and x[1].isnan().all()
    assert x[[0, 2]].isfinite().all() and not torch.equal(x[0], x[2])


@pytest.mark.parametrize("rows_per_chunk", [4, 256])
def test_a_method_that_changes_y_in_place_harms_nobody(root, drop_in, rows_per_chunk):
    drop_in("polite", POLITE)
    drop_in("rude", POLITE.replace(RETURN, "y.zero_(); return x\n"))
    prior = load_prior(prior_path(root, "atoms", "atoms"))
    measurements = read_measurements(root / "tasks/atoms-saturate/observations.safetensors")
    problem, before = problem_of(measurements.header, SHAPE), measurements.y.clone()
    drawn = [
        runs.sample(
            runs.load_method(name, {}),
            prior,
            problem,
            measurements,
            runs.Draws("atoms-saturate", 0, S, rows_per_chunk),
        )
        for name in ("polite", "rude")
    ]
    assert torch.equal(*drawn) and torch.equal(measurements.y, before)


def evaluated(root: Path, names: list[str]) -> dict[str, list[dict[str, str]]]:
    """Rows of metrics.csv by method."""
    path, runs = root / "specs/evaluate.json", [{"method": name, "seed": 0} for name in names]
    prior = {"prior": "atoms", "family": "atoms"}
    write_json(
        path, {"root": str(root), "task": "atoms-saturate", "runs": runs, "num_samples": S, **prior}
    )
    evaluate.main(str(path))
    rows = list(csv.DictReader(io.StringIO(read_csv(root / "tasks/atoms-saturate/metrics.csv")[0])))
    return {name: [row for row in rows if row["method"] == name] for name in ("reference", *names)}


def test_the_table_has_each_failing_methods_reason_and_keeps_the_others(root, drop_in):
    for name, (old, new, *_) in SINS.items():
        drop_in(name, POLITE.replace(old, new))
    drop_in("one_nan", POLITE.replace(RETURN, "x[1] = torch.nan; return x\n"))
    for name in (*SINS, "one_nan", "oracle", "unconditional"):
        run(root, name)
    alone = evaluated(root, ["oracle", "unconditional"])
    rows = evaluated(root, ["oracle", *SINS, "one_nan", "unconditional"])
    assert all(rows[name] == alone[name] for name in ("reference", "oracle", "unconditional"))
    for name, (_, _, status, reason) in SINS.items():
        assert len(rows[name]) == M * len(COLUMNS) + len(COLUMNS_OF_TASK)
        assert all(
            row["value"] == "" and row["reason"].startswith(f"{status} (") for row in rows[name]
        )
        assert all(reason in row["reason"] for row in rows[name])
    why = {(row["observation"], row["metric"]): row["reason"] for row in rows["one_nan"]}
    assert [why[str(i), "psnr_mean"] for i in range(M)] == [
        "",
        f"failed ({S} of {S} samples not finite)",
        "",
    ]
