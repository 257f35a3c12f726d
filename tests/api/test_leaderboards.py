"""Samples are paired with published rows on the same measurements, and only there."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import stdtrit

import bench
from bench.core.artefacts import read_json, write_json
from bench.core.errors import UserError
from bench.core.published_suites import VALUES as FILE
from bench.stats.inference import mean_interval

SUITE = """
name: small
seeds: [0]
num_measurements: 3
num_samples: 4
num_reference: 16
rows_per_chunk: 64
datasets: {digits: {}}
priors: {gmm: {family: gmm, dataset: digits, num_components: 2, shrinkage: 30, floor: 0.05}}
tasks: {gmm-denoise: {operator: denoise, sigma_y: 0.5}}
methods: {dps: {num_steps: 21}, unconditional: {}}
"""
NAME = "gmm-denoise"
SHIFTS = {"good": -0.1, "bad": 0.2}  # of the published rows from the values of my samples
SEEDS = {"good": {0: 0.0}, "bad": {0: 0.01, 1: -0.01}}  # what each seed adds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder outside of the checkout, with a suite, a cache and published rows of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "config").mkdir()
    (folder / "config/small.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSTERIOR_BENCH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def task(folder):
    return bench.load_task(NAME, suite="small")


@pytest.fixture(scope="module")
def x(task):
    return bench.sample("unconditional", task, 4)


@pytest.fixture
def published(folder, task, x):
    """Published rows of two methods, one of them of two seeds, whose values are those of x and a shift."""
    frame = bench.evaluate(task, x)
    own = frame[frame["metric"] == "sw2-128"].astype({"measurement": int})
    values, lines = [], []
    for method, shift in SHIFTS.items():
        for seed, more in SEEDS[method].items():
            of_seed = own.assign(
                task=NAME, method=method, seed=seed, value=own["value"] + shift + more
            )
            values.append(of_seed[["task", "method", "seed", "measurement", "metric", "value"]])
        lines.append((NAME, method, "sw2-128", own["value"].mean() + shift, 0.0, 1.0, 0, ""))
    lines.append((NAME, "broken", "sw2-128", None, None, None, 3, "failed (ValueError: no)"))
    into = folder / "results/reference/small"
    into.mkdir(parents=True, exist_ok=True)
    columns = ["task", "method", "metric", "mean", "low", "high", "num_failed", "reason"]
    pd.DataFrame(lines, columns=columns).to_csv(into / "summary.csv", index=False)
    pd.concat(values).to_csv(into / FILE, index=False)
    write_json(
        into / "provenance.json",
        {"observations_sha256": {NAME: task.header["observations_sha256"]}},
    )
    return into


def test_each_row_has_its_paired_difference_from_mine(published, task, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        board = bench.leaderboard("small", mine={"mine": x}, task=task)
    rows = board[board["metric"] == "sw2-128"].set_index("method")
    for method, shift in SHIFTS.items():
        assert rows.loc[method, "difference"] == pytest.approx(shift, abs=1e-6)
    widths = rows["difference_high"] - rows["difference_low"]
    assert widths["good"] < 1e-5  # measurements cancel
    assert rows.loc[["mine", "broken"], "difference"].isna().all()


def test_the_spread_over_seeds_widens_a_paired_interval(published, task, x):
    """Two seeds 0.01 above and below the mean: a standard error of 0.01, with one degree of freedom."""
    board = bench.leaderboard("small", mine={"mine": x}, task=task)
    row = board[board["metric"] == "sw2-128"].set_index("method").loc["bad"]
    half = 0.01 * stdtrit(1, 0.995)
    assert row["difference_high"] - row["difference"] >= 0.99 * half
    assert row["difference"] - row["difference_low"] >= 0.99 * half


def test_rows_that_saw_another_prior_are_marked(published, task, x):
    path = published / "provenance.json"
    write_json(path, read_json(path) | {"other_prior": {NAME: ["good"], "elsewhere": ["bad"]}})
    of_suite = bench.leaderboard("small")
    beside = bench.leaderboard("small", mine={"mine": x}, task=task)
    for board in (of_suite, beside):
        remarks = board.groupby("method")["remark"].agg(set)
        assert remarks["good"] == {"other prior"} and remarks["bad"] == {""}
    assert set(beside.loc[beside["method"] == "mine", "remark"]) == {""}


def test_several_of_mine_are_compared_with_the_first(published, task, x):
    board = bench.leaderboard("small", mine={"mine": x, "other": x.flip(0)}, task=NAME)
    rows = board.set_index(["metric", "method"])
    values = bench.evaluate(task, x), bench.evaluate(task, x.flip(0))
    first, other = (frame[frame["metric"] == "energy"]["value"].to_numpy() for frame in values)
    expected = np.ravel(mean_interval((other - first)[:, None], 0.99))
    columns = ["difference", "difference_low", "difference_high"]
    assert rows.loc[("energy", "other"), columns].astype(float).to_numpy() == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("lacking", ["values", "measurements"])
def test_rows_that_cannot_be_paired_give_a_warning_with_the_reason(published, task, x, lacking):
    if lacking == "values":
        (published / FILE).unlink()
    else:
        write_json(published / "provenance.json", {"observations_sha256": {NAME: "of others"}})
    words = {"values": "values.csv.gz is missing", "measurements": "of other measurements"}[lacking]
    with pytest.warns(UserWarning, match=words):
        board = bench.leaderboard("small", mine={"mine": x}, task=task)
    assert board["difference"].isna().all() and board.set_index("method").loc["good", "mean"] > 0


def test_another_number_of_samples_than_the_published_rows_have_is_told(published, task, x):
    path = published / "provenance.json"
    write_json(path, read_json(path) | {"num_samples": 64})
    with pytest.warns(UserWarning, match="mine has 4 samples of each measurement, the published"):
        bench.leaderboard("small", mine={"mine": x}, task=task)


def test_wrong_requests_are_one_line(published, task, x):
    for words, call in {
        "give task=": lambda: bench.leaderboard("small", mine={"mine": x}),
        "no published rows of task x in small; expected one of gmm-denoise": lambda: (
            bench.leaderboard("small", task="x")
        ),
        "suite nothing has no published rows; expected one of": lambda: bench.leaderboard(
            "nothing"
        ),
        "samples of mine are of 2 measurements": lambda: bench.leaderboard(
            "small", {"mine": x[:2]}, task=task
        ),
        "good is the name of a published row": lambda: bench.leaderboard(
            "small", {"good": x}, task=task
        ),
        "mine is a Tensor; expected a dict": lambda: bench.leaderboard("small", x, task=task),
    }.items():
        with pytest.raises(UserError, match=words):
            call()


def test_arrays_and_other_precisions_are_samples_too(published, task, x):
    board = bench.leaderboard("small", mine={"mine": x.double().numpy()}, task=task)
    again = bench.leaderboard("small", mine={"mine": torch.as_tensor(x)}, task=task)
    pd.testing.assert_frame_equal(board, again)
