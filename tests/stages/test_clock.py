"""The clock: a curve and a throughput of each run, with effective samples, or a reason where there is no time."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch
from helpers.two_tasks import SHAPE, M, root_of_two_tasks, run_spec  # noqa: F401 (a fixture)

from bench.core.artefacts import read_json, write_json, write_tensors
from bench.core.errors import UserError
from bench.figures.clock import Clock
from bench.report.cost_table import cost_csv, cost_notes, cost_table
from bench.runtime.lease import FOLDER, lease
from bench.stages import clock, pool, sample
from bench.stats.figure_results import FigureResults
from bench.stats.results import SuiteResults

SIZES = [1, 4, 8]
LANGEVIN = {"num_chains": 1, "num_adam": 2, "num_warmup": 3, "num_adapt": 2, "thin": 1}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "leases"))


def timed(
    root: Path, module: str, task: str = "gmm-denoise", visits: int = 1, **changes: object
) -> dict:
    spec = run_spec(root, module, task, num_samples=8, **changes)
    path = root / f"specs/clock/{task}/{module}.json"
    write_json(path, spec)
    sample.main(str(path))
    exact = torch.randn(M, 16, *SHAPE, generator=torch.Generator().manual_seed(0))
    sets = {"x_a": exact, "x_b": exact, "mean": exact.mean(1), "std": exact.std(1)}
    write_tensors(root / f"tasks/{task}/exact.safetensors", sets, {})
    # the fewest repeats: times of tests need not be settled
    repeated = {"num_samples": SIZES, "repeats": 5, "visits": visits, "patience": 0.0}
    write_json(path, spec | {"clock": repeated})
    for visit in range(visits):
        clock.main(str(path), str(visit + 1))
    pool.main(str(path))
    return read_json(root / f"runs/{task}/{module}/seed0/timing.json")


def test_a_clock_finds_a_curve_and_a_throughput(root):
    dps = timed(root, "dps", settings={"num_steps": 25})
    assert [cell["s"] for cell in dps["curve"]] == SIZES and {
        cell["m"] for cell in dps["curve"]
    } == {1}
    for cell in (*dps["curve"], dps["throughput"]):
        assert 0 < cell["low"] <= cell["median"] <= cell["high"] and cell["repeats"] >= 5
        assert (
            cell["nfe"] == cell["nfe_vjp"] == 25
            and cell["peak"]["resident"] > 2**20
            and cell["joules"] is None
        )
    best = dps["throughput"]
    assert best["s"] == 8 and best["samples_per_second"] == pytest.approx(
        best["m"] * 8 / best["median"]
    )
    assert set(dps["worth"]) <= {"1", "4", "8"} and dps["worth"]["8"] > 0
    chain = timed(root, "latent_langevin", settings=LANGEVIN)
    assert chain["worth"]["8"] > 0
    rows = [cell["nfe"] * cell["s"] for cell in chain["curve"]]
    assert rows[0] < rows[1] < rows[2] < 8 * rows[0]  # a chain pays its warm-up once
    nothing = timed(root, "latent_langevin", "atoms-saturate", settings=LANGEVIN)
    assert (nothing["status"], nothing["reason"]) == (
        "n/a",
        "needs DECODER",
    ) and "curve" not in nothing

    methods = ("dps", "latent_langevin")
    suite = SuiteResults(root, "tiny", methods, (0,), M, 8, (), (), (dps, chain, nothing))
    table = cost_table(suite)
    assert [table.reasons.get(name, "") for name in table.frame.index] == [
        "",
        "",
        "n/a (needs DECODER)",
    ]
    assert any("alone on the machine" in note for note in cost_notes(suite))
    lines = list(csv.DictReader(io.StringIO(cost_csv(suite))))
    assert len(lines) == 2 * (len(SIZES) + 1) + 1 and lines[-1]["reason"] == "n/a (needs DECODER)"
    drawing = Clock().draw(FigureResults(suite))
    drawn = list(csv.DictReader(io.StringIO(drawing.csv)))
    worth = {(row["method"], row["samples"]): row["worth"] for row in drawn}
    assert float(worth["dps", "8"]) == pytest.approx(dps["worth"]["8"], rel=1e-5)


def test_visits_are_pooled(root):
    dps = timed(root, "dps", settings={"num_steps": 25}, visits=2)
    visits = [read_json(root / f"runs/gmm-denoise/dps/seed0/visits/{k}.json") for k in (1, 2)]
    assert dps["visits"] == 2 and len({visit["throughput"]["m"] for visit in visits}) == 1
    for cell, *parts in zip(dps["curve"], *(visit["curve"] for visit in visits), strict=True):
        assert cell["median"] == pytest.approx(sum(part["median"] for part in parts) / 2)
        assert cell["low"] == min(part["low"] for part in parts) and cell["high"] == max(
            part["high"] for part in parts
        )
        assert cell["repeats"] == sum(part["repeats"] for part in parts) >= 5 and cell["nfe"] == 25
    best = dps["throughput"]
    assert best["samples_per_second"] == pytest.approx(best["m"] * best["s"] / best["median"])


def test_a_failed_visit_is_reported():
    good = {"status": "ok", "reason": "", "curve": [], "throughput": {}, "sha256": "0"}
    bad = {"status": "failed", "reason": "RuntimeError: no", "sha256": "1"}
    assert pool.pool_visits([good, bad]) == {"status": "failed", "reason": "RuntimeError: no"}


def test_the_clock_takes_no_time_while_another_job_runs(root, monkeypatch):
    monkeypatch.setattr(clock, "LONGEST_WAIT", 0.0)
    path = root / "specs/clock.json"
    write_json(
        path, run_spec(root, "dps", "gmm-denoise") | {"clock": {"num_samples": SIZES, "repeats": 5}}
    )
    with (
        lease(),
        pytest.raises(
            UserError, match="cpu: held by another job; a time taken beside it would be wrong"
        ),
    ):
        clock.main(str(path))


def test_the_clock_of_a_rehearsal_does_not_wait(tmp_path, monkeypatch):
    root, timed = tmp_path / "mine-rehearsal", []
    monkeypatch.setattr(clock, "clock", lambda spec, visit, device: timed.append(visit))
    path = root / "specs/clock.json"
    write_json(
        path, run_spec(root, "dps", "gmm-denoise") | {"clock": {"num_samples": SIZES, "repeats": 5}}
    )
    with lease():
        clock.main(str(path))
    assert timed == [1]
