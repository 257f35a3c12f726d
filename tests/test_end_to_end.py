"""End to end, for real: one command makes tables and figures; methods are dropped in, files broken, runs killed.

Nothing is replaced by a stub; only the suite is tiny. Two copies of the repository are run, one without disturbance,
one with two more methods and killed again and again.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.repository import (
    command,
    environment_of,
    run_to_the_end,
    snakemake,
    write_suite,
)
from helpers.tiny_repository import (
    GENTLE,
    METHODS,
    SUITE,
    TASKS,
    E,
    M,
    S,
    finished_repository,
    tiny_repository,
)
from safetensors import safe_open

from bench.core.results import FIGURES

pytestmark = pytest.mark.slow

BROKEN = GENTLE.replace(
    "        x_t =", "        raise RuntimeError('it does not converge')\n        x_t ="
)
MOMENTS = (  # when to kill a run: so many files of this kind, and seconds after that
    ("tasks/gmm-*/observations.safetensors", 1, 0.0),
    ("runs/*/*/seed0/samples.safetensors", 3, 1.5),
    ("tasks/*/metrics.csv", 1, 0.0),
)


def kill_a_run(folder: Path, pattern: str, count: int, seconds: float) -> None:
    """Start a run and SIGKILL it with all its jobs once `count` files match."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    line, environment = command(), environment_of(folder)
    run = subprocess.Popen(line, cwd=folder, env=environment, start_new_session=True, **quiet)
    while len(list((folder / "results/tiny").glob(pattern))) < count:
        assert run.poll() is None, f"the run ended before there were {count} of {pattern}"
        time.sleep(0.02)
    time.sleep(seconds)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> tuple[Path, Path]:
    """Two copies of the repository in which the suite was run, side by side since neither keeps two cores busy alone.

    One run went undisturbed. The other has a good and a bad method dropped in, and was killed at several moments.
    """
    disturbed = tiny_repository(tmp_path_factory.mktemp("disturbed"))
    (disturbed / "methods/gentle.py").write_text(GENTLE)
    (disturbed / "methods/broken.py").write_text(BROKEN)
    write_suite(disturbed, SUITE + "  gentle: {sigma: 0.4}\n  broken: {}\n")
    with ThreadPoolExecutor() as pool:
        undisturbed = pool.submit(finished_repository, tmp_path_factory)
        for moment in MOMENTS:
            kill_a_run(disturbed, *moment)
        run_to_the_end(disturbed)
        return undisturbed.result(), disturbed


@pytest.fixture(scope="module")
def finished(copies) -> Path:
    return copies[0]


@pytest.fixture(scope="module")
def disturbed(copies) -> Path:
    return copies[1]


def described(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shapes and header, read by the library alone."""
    with safe_open(path, "np") as f:
        return {key: tuple(f.get_slice(key).get_shape()) for key in f.keys()}, f.metadata()  # noqa: SIM118


def lines_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


@pytest.mark.parametrize("which", ["finished", "disturbed"])
def test_the_files_keep_the_contract(which, request):
    root = request.getfixturevalue(which) / "results/tiny"
    mixture, _ = described(root / "priors/gmm/gmm.safetensors")
    assert mixture == {"weights": (3,), "means": (3, 1, 8, 8), "covariances": (3, 64, 64)}
    assert sorted(path.name for path in (root / "tasks").iterdir()) == sorted(TASKS)
    for task in TASKS:
        shapes, header = described(root / f"tasks/{task}/observations.safetensors")
        assert shapes["x_true"] == shapes["y"] == (M, 1, 8, 8)
        assert header["task"] == task and {"operator", "parameters", "sigma_y", "sha256"} <= set(
            header
        )
        exact, header = described(root / f"tasks/{task}/exact.safetensors")
        assert exact["x_a"] == exact["x_b"] == (M, E, 1, 8, 8) and {"admitted", "checks"} <= set(
            header
        )
        for method in METHODS:
            folder = root / f"runs/{task}/{method}/seed0"
            assert described(folder / "samples.safetensors")[0] == {"x": (M, S, 1, 8, 8)}
            cost = json.loads((folder / "cost.json").read_text())
            assert {"nfe", "nfe_vjp", "rows", "seconds"} <= set(cost) and cost["rows"] == M * S
            assert cost["nfe"] == cost["nfe_vjp"] == (25 if method == "dps" else 0)
        columns = ["task", "method", "seed", "observation", "metric", "value", "reason"]
        assert list(lines_of(root / f"tasks/{task}/metrics.csv")[0]) == columns
    summary = lines_of(root / "tables/summary.csv")
    assert list(summary[0]) == [
        "task",
        "method",
        "metric",
        "mean",
        "low",
        "high",
        "num_failed",
        "reason",
    ]
    assert all(line["mean"] or line["reason"] for line in summary)
    assert {line["method"] for line in summary} >= {"reference", *METHODS}
    stems = {path.stem for path in (root / "figures").glob("*.pdf")}
    assert stems == {*FIGURES, *(f"grid-{task}" for task in TASKS)}
    assert all(
        (root / f"figures/{stem}.{kind}").stat().st_size
        for stem in stems
        for kind in ("pdf", "png", "csv")
    )
    assert "</html>" in (root / "report.html").read_text()


def test_a_second_run_has_nothing_to_do_and_says_so(finished):
    done = snakemake(finished)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


def test_a_killed_run_ends_with_the_same_bits(finished, disturbed):
    ours, theirs = finished / "results/tiny", disturbed / "results/tiny"
    paths = [path.relative_to(ours) for path in ours.rglob("*.safetensors")]
    training = 2  # the state and the samples of the one method that trains, on one task
    assert len(paths) == 1 + 2 + 3 * len(TASKS) + len(TASKS) * len(METHODS) + training
    for path in paths:
        assert (ours / path).read_bytes() == (theirs / path).read_bytes(), path


def test_a_method_that_trains_pays_for_it(finished):
    folder = finished / "results/tiny/runs/gmm-denoise/pays/seed0"
    assert described(folder / "state.safetensors")[0] == {"mean": (1, 8, 8)}
    cost, spent = (
        json.loads((folder / name).read_text()) for name in ("cost.json", "training.json")
    )
    assert cost["train_seconds"] == spent["seconds"] > 0 and cost["rows"] == S


def test_rows_that_a_suite_leaves_out_are_named(finished):
    root = finished / "results/tiny"
    assert not (root / "runs/atoms-saturate/pays").exists()
    summary = [line for line in lines_of(root / "tables/summary.csv") if line["method"] == "pays"]
    elsewhere = {line["reason"] for line in summary if line["task"] == "atoms-saturate"}
    assert elsewhere == {"n/a (left out by the suite)"}
    metrics = [
        line
        for line in lines_of(root / "tasks/gmm-denoise/metrics.csv")
        if line["method"] == "pays"
    ]
    reasons = {line["reason"] for line in metrics if line["observation"] == "1"}
    assert reasons == {"n/a (only the first 1 measurements)"}
    assert all(line["num_failed"] == "0" for line in summary)


def test_a_method_dropped_in_appears_everywhere(disturbed):
    root = disturbed / "results/tiny"
    found = {
        (x["task"], x["metric"]): x
        for x in lines_of(root / "tables/summary.csv")
        if x["method"] == "gentle"
    }
    assert all(
        float(found[task, metric]["mean"]) >= 0
        for task in TASKS
        for metric in ("sw2-128", "psnr_mean")
    )
    assert all(float(found[task, "nfe"]["mean"]) == 1 for task in TASKS)
    figures = list((root / "figures").glob("*.csv"))
    assert len(figures) == len(FIGURES) + len(TASKS)
    # these show tasks whose truth is drawn from the prior, and there is none here
    well_specified = {"calibration", "sbc", "tarp"}
    shown = [path for path in figures if path.stem not in well_specified]
    assert len(shown) == len(figures) - len(well_specified)
    assert all("gentle" in path.read_text() for path in shown)
    pages = ("tables/summary.md", "tables/summary.tex", "report.html")
    assert all("gentle" in (root / page).read_text() for page in pages)


def test_a_method_that_raises_fails_alone(finished, disturbed):
    root = disturbed / "results/tiny"
    summary = lines_of(root / "tables/summary.csv")
    broken = [line for line in summary if line["method"] == "broken"]
    of_all = ("tarp_x_true@", "sbc-misfit_x_true@")  # one number of all measurements
    failures = [(line, "1" if line["metric"].startswith(of_all) else str(M)) for line in broken]
    assert all(line["mean"] == "" and line["num_failed"] == num for line, num in failures)
    (reason,) = {line["reason"] for line in broken}
    assert re.fullmatch(
        r"failed \(RuntimeError: it does not converge \(methods/broken\.py, line \d+\)\)", reason
    )
    pages = ("tables/summary.md", "tables/summary.tex", "report.html")
    assert all("failed (RuntimeError" in (root / page).read_text() for page in pages)

    def others(folder: Path, name: str) -> list[dict[str, str]]:
        lines = lines_of(folder / "results/tiny" / name)
        timed = ("seconds_per_sample", "worth_per_second")
        return [
            x for x in lines if x["method"] in ("reference", *METHODS) and x["metric"] not in timed
        ]

    for name in ("tables/summary.csv", *(f"tasks/{task}/metrics.csv" for task in TASKS)):
        assert others(disturbed, name) == others(finished, name)


def truncate(data: bytes) -> bytes:
    return data[:-100]


def edit_a_cell(data: bytes) -> bytes:
    head, line, rest = data.split(b"\n", 2)
    return b"\n".join([head, line.replace(b",0,0,", b",0,1,"), rest])


def edit_a_value(data: bytes) -> bytes:
    return data.replace(b'"nfe": 0', b'"nfe": 1')


WAYS_TO_BREAK: dict[str, Callable[[bytes], bytes]] = {
    "runs/gmm-denoise/dps/seed0/samples.safetensors": truncate,
    "runs/gmm-denoise/oracle/seed0/cost.json": edit_a_value,
    "tasks/gmm-denoise/metrics.csv": edit_a_cell,
}


def test_broken_files_stop_the_run_by_name_and_come_back_the_same(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    root = folder / "results/tiny"
    before = {name: (root / name).read_bytes() for name in WAYS_TO_BREAK}
    for name, spoil in WAYS_TO_BREAK.items():
        (root / name).write_bytes(spoil(before[name]))
        assert (root / name).read_bytes() != before[name]
    # in the order of a folder's listing, since one is reported at a time
    for name in sorted(WAYS_TO_BREAK):
        done = snakemake(folder)
        (line,) = [x for x in (done.stdout + done.stderr).splitlines() if x and "profile" not in x]
        assert done.returncode != 0 and line.startswith(f"error: results/tiny/{name}: ")
        assert line.endswith("; delete it and run the same command again")
        (root / name).unlink()
    run_to_the_end(folder)
    for path in [root / name for name in WAYS_TO_BREAK] + list(
        root.glob("runs/**/samples.safetensors")
    ):
        original = finished / path.relative_to(folder)
        if path.name == "cost.json":
            assert without_seconds(path) == without_seconds(original)
        else:
            assert path.read_bytes() == original.read_bytes()


def without_seconds(path: Path) -> dict:
    return {
        key: value
        for key, value in json.loads(path.read_text()).items()
        if key not in ("seconds", "sha256")
    }
