"""How many images a data set has, from its source; which images a checkpoint is for; which columns a suite has."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from bench.core.registry import build
from bench.plan.checkpoint_sides import side_fault
from bench.plan.columns import column_fault
from bench.plan.sizes import num_test_faults, number_of


@pytest.mark.parametrize(
    ("dataset", "entry", "number"),
    [
        ("digits", {}, 300),
        ("shapes-large", {"side": 32}, 300),
        ("photos", {}, 1000),
        ("folder-mine", {"num_test": 7}, 7),
        ("noise-64", {}, None),
        ("nothing", {}, None),
    ],
)
def test_test_images_are_counted_from_the_source(dataset, entry, number):
    assert number_of(dataset, entry, "num_test") == number


@pytest.mark.parametrize("dataset", ["digits", "photos"])
def test_the_source_says_what_is_there(dataset):
    parameters = (
        {"num_train": 9, "num_validation": 9, "num_test": 28} if dataset == "photos" else {}
    )
    there = build("dataset", dataset, parameters).load()
    assert len(there["test"]) == number_of(dataset, parameters, "num_test")


def test_draws_of_the_prior_do_not_run_out():
    content = {
        "num_measurements": 301,
        "datasets": {"digits": {}},
        "priors": {"gmm": {"dataset": "digits"}},
        "tasks": {"gmm-a": {"truth": "prior"}},
    }
    assert list(num_test_faults(content)) == []
    content["tasks"]["gmm-a"] = {}
    ((where, what),) = num_test_faults(content)
    assert where == ("num_measurements",) and what.startswith("expected at most 300")


@pytest.mark.parametrize("sample_size", [16, [16, 16]])
def test_a_checkpoint_of_other_images_is_told_from_its_config(tmp_path, sample_size):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text(json.dumps({"sample_size": sample_size}))
    prior = SimpleNamespace(pipeline=str(tmp_path))
    assert side_fault(prior, (16, 16)) is None
    assert side_fault(prior, (None, None)) is None
    assert side_fault(prior, (8, 8)) == (
        f"{tmp_path} is for images of 16 x 16 pixels, and those of the data set have 8 x 8; give the data set "
        "side: 16, or take another checkpoint"
    )


@pytest.mark.parametrize("size", ["[[16], [16]]", "[" * 10**5 + "]" * 10**5], ids=len)
def test_a_size_that_is_none_is_left_to_the_job_that_opens_the_network(tmp_path, size):
    (tmp_path / "config.json").write_text(f'{{"sample_size": {size}}}')
    assert side_fault(SimpleNamespace(pipeline=str(tmp_path)), (8, 8)) is None


@pytest.mark.parametrize("pipeline", ["owner/model", "my_model", "ddpm-mnist"])
def test_what_is_not_here_is_left_to_its_job(tmp_path, monkeypatch, pipeline):
    monkeypatch.chdir(tmp_path)
    assert side_fault(SimpleNamespace(pipeline=pipeline), (8, 8)) is None


def test_weights_say_their_side_by_their_architecture():
    prior = build("prior", "adm", {"weights": "ffhq_10m"})
    assert side_fault(prior, (256, 256)) is None
    assert "256 x 256" in str(side_fault(prior, (64, 64)))


@pytest.mark.parametrize(
    "column",
    [
        "energy",
        "psnr_mean",
        "network_calls",
        "train_seconds",
        "path_ess",
        "kid-digits-cnn-v1-n8",
        "frechet-fashion-cnn-v1-n256",
    ],
)
def test_columns_of_metrics_costs_and_the_page_are_known(column):
    assert column_fault([column], {"sets": {"extractors": ["digits-cnn-v1"]}}) is None


def test_a_misspelt_column_is_told_with_what_may_be_meant():
    assert column_fault(["energy", "chi2_sampel"], {}) == (
        "this suite has no column chi2_sampel; did you mean chi2_sample? docs/reference/columns.md lists all"
    )


def test_a_metric_that_cannot_be_opened_is_left_to_its_tasks():
    assert column_fault(["chi2_sampel"], {"vendi": {"colour": "red"}}) is None
