"""GPU hours: operations are those that torch counts, and hours follow from them by the formula."""

from __future__ import annotations

import pytest
import torch
from helpers.repository import REPOSITORY
from torch.utils.flop_counter import FlopCounterMode

from bench.core.rng import Rng
from bench.plan import gpu_hours
from bench.plan.gpu_hours import GFLOP, Rate
from bench.plan.gpu_hours import gpu_hours as hours_of
from bench.plan.papers import original
from bench.priors._networks import new_unet
from bench.priors.adapters.architectures import ARCHITECTURES, outline


@pytest.mark.parametrize("name", ["consistency-imagenet-64", "torchcfm-cifar10"])
def test_operations_are_those_that_torch_counts(name):
    shape = ARCHITECTURES[name]
    labels = torch.zeros(1, dtype=torch.long, device="meta") if shape.num_classes else None
    x = torch.empty(1, 3, shape.side, shape.side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        outline(shape)(x, torch.zeros(1, device="meta"), class_labels=labels)
    assert counter.get_total_flops() / 1e9 == pytest.approx(GFLOP[name], rel=0.01)


def test_operations_of_the_network_trained_for_aps_are_those_that_torch_counts(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    prior = original("papers/aps_celeba").content["priors"]["celeba"]
    rng = Rng(("test",), (0,))
    network = new_unet((3, 32, 32), prior["channels"], prior["layers_per_block"], rng)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32), torch.zeros(1))
    assert counter.get_total_flops() / 1e9 == pytest.approx(GFLOP["aps_celeba"], rel=0.01)


def test_hours_are_rows_times_operations_over_the_rate(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(gpu_hours, "rate", lambda: Rate(1000.0, "a test"))
    suite = original("papers/dps_ffhq256")
    suite.content["tasks"] = {"ffhq-sr4": suite.content["tasks"]["ffhq-sr4"]}
    suite.content["methods"] = {"dps-paper": suite.content["methods"]["dps-paper"]}
    # 1000 images with 2 samples, 1000 rows forward and 1000 backward for each
    seconds = 1000 * 2 * 2000 * GFLOP["adm-ffhq-256"] / 1000
    assert hours_of(suite) == pytest.approx(seconds / 3600)


def test_networks_of_others_are_not_reckoned(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert hours_of(original("papers/ods_ffhq")) is None


def test_until_it_is_measured_the_rate_is_that_of_the_dps_paper(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    found = gpu_hours.rate()
    if "DPS paper" in found.source:
        # 78.52 s for 1000 steps, each a row forward and one backward
        assert found.gflops == pytest.approx(2000 * GFLOP["adm-ffhq-256"] / 78.52)
