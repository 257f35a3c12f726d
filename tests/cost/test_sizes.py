"""What `bench.cost sizes` reckons follows from what it measured."""

from __future__ import annotations

import pytest

from bench.core.types import Cap
from bench.cost import sizes
from bench.runtime.run_method import load_method


def test_a_plane_through_three_trainings_tells_of_the_whole_one():
    points = [(8.0, 4.0), (24.0, 4.0), (8.0, 8.0)]
    values = [1 + 0.5 * draws + 0.25 * rows for draws, rows in points]
    assert sizes.plane(points, values, (100.0, 1000.0)) == pytest.approx(1 + 50 + 250)
    # a slope below zero is noise
    assert sizes.plane(points, [5.0, 4.0, 3.0], (100.0, 1000.0)) == 5.0


def test_growth_is_compared_with_the_larger_of_pixels_and_network():
    network = {32: sizes.Cell(1.0, 0), 64: sizes.Cell(5.0, 0)}
    words = sizes.format_growth("aps", "train_seconds", {32: 2.0, 64: 12.0}, network)
    assert "32 to 64 pixels: train_seconds x 6.0, pixels x 4, network x 5.0: 1.20" in words
    assert "(at most 1.25: met)" in words


def test_the_whole_load_is_a_possible_setting():
    for module, one in sizes.TRAINED.items():
        settings = one.settings(one.whole)
        method = load_method(module, settings)
        assert method.num_iterations == one.whole.iterations
    assert load_method("ods", sizes.ods_settings(sizes.Load(8, 6, 1))).batch == 6


def test_every_method_has_a_row():
    modules = {row.split("-")[0] for row, _ in sizes.rows()}
    assert {"dps", "latent_langevin", "hmc", "aps", "ods"} <= modules


def test_a_training_and_a_sample_are_measured():
    prior = sizes.untrained_prior(16)
    assert Cap.DENOISER in prior.caps and Cap.DECODER in prior.caps
    load = sizes.Load(8, 2, 2)
    for row in ("aps", "ods"):
        settings = sizes.TRAINED[row].settings(load)
        assert (
            "read.0.weight" in str(sizes.work_of(sizes.Task(row, 16, "train", settings))().keys())
            or row == "ods"
        )
    short = sizes.SHORT["dps"]
    x = sizes.work_of(sizes.Task("dps", 16, "sample", short))()
    assert x.shape == (1, 8, 3, 16, 16)
