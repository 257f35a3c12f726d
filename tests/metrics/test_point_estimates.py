"""A point estimate has the columns that a single image has; all others say that it is one."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from helpers.metric_values import COLUMNS, COLUMNS_OF_TASK
from helpers.tiny_task import S, spec_of_tiny_task, write_run  # noqa: F401 (a fixture)

from bench.core.artefacts import read_csv, read_header, read_json, read_tensors, write_json
from bench.metrics._evaluation import POINT_ESTIMATE
from bench.metrics.perceptual import perceptual_columns
from bench.stages import evaluate
from bench.stats.beside import CHAIN
from bench.stats.beside import _runs as published_runs

OF_POINT = {
    "psnr_mean",
    "ssim-g0.5_mean",
    "chi2_sample",
    "mean_error",
    "mean_error_total",
    "log_reward",
}


@pytest.fixture(name="rows")
def rows_of_a_point(spec):
    """Return the lines of a method whose estimate is the posterior mean, repeated."""
    root, content = spec.parents[2], read_json(spec)
    files = root / "tasks/task"
    mean = read_tensors(files / "exact.safetensors")[0]["mean"]
    sha256 = read_header(files / "observations.safetensors")["observations_sha256"]
    write_run(root, "mean", mean[:, None].repeat_interleave(S, 1), sha256, joint="point")
    write_json(spec, content | {"runs": [{"method": "mean", "seed": 0}]})
    evaluate.main(str(spec))
    lines = csv.DictReader(io.StringIO(read_csv(files / "metrics.csv")[0]))
    return [line for line in lines if line["method"] == "mean"]


def test_columns_of_points_are_those_of_single_images():
    assert {column.id for column in COLUMNS if column.of_point} == OF_POINT
    assert not any(column.of_point for column in COLUMNS_OF_TASK)
    perceptual = {column.id: column.of_point for column in perceptual_columns("lpips-alex-v0.1")}
    assert [id for id, of_point in perceptual.items() if of_point] == [
        "lpips-alex-v0.1@[-1,1]_mean"
    ]


def test_a_point_has_fidelity_and_the_error_of_its_mean(rows):
    numbers = {(row["observation"], row["metric"]): row["value"] for row in rows if row["value"]}
    expected = {"psnr_mean", "ssim-g0.5_mean", "chi2_sample", "mean_error"}
    assert {metric for _, metric in numbers} == expected
    # the posterior's own mean, in float32
    assert float(numbers["0", "mean_error"]) == pytest.approx(0, abs=1e-6)


def test_all_other_columns_have_the_reason_that_it_is_a_point(rows):
    silent = {row["metric"]: row["reason"] for row in rows if row["observation"] in ("0", "all")}
    for id in (
        "energy",
        "diversity",
        "vendi",
        "coverage_x_true@0.9",
        "rhat",
        "psnr_sample",
        "ppc-chi2",
    ):
        assert silent[id] == POINT_ESTIMATE
    assert silent["tarp_x_true@0.5"] == POINT_ESTIMATE  # of the whole task


def test_a_published_row_of_points_is_one_of_points():
    lines = {("tv", CHAIN): {"reason": POINT_ESTIMATE}, ("tv", "nfe"): {"mean": 0.0}}
    values = pd.DataFrame({"measurement": [0, 1]})
    (run,) = published_runs("tv", lines, values, 2, [0], {})
    assert run.header["joint"] == "point"
