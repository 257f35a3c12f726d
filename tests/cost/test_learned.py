"""The comparison of a mixture with a learned model says for both what it has measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from helpers.factor_mixtures import mixture

from bench.core.rng import Rng
from bench.cost import learned
from bench.cost.common import Options
from bench.cost.subjects import new_unet, untrained

SHAPE = (3, 8, 8)


@pytest.fixture
def small(monkeypatch):
    factors = mixture(2, SHAPE)
    images = {"test": factors.sample(9, Rng(("crops",), (0,)))[0].float()}
    network = untrained(new_unet(SHAPE, (4, 4), 0)).teacher
    monkeypatch.setattr(learned, "build", lambda *_: SimpleNamespace(load=lambda: images))
    monkeypatch.setattr(learned, "mixture", lambda *_: factors)
    monkeypatch.setattr(learned, "learned", lambda: network)
    for name, value in {"NUM_IMAGES": 7, "NUM_FOR_BITS": 2, "NUM_TIMED": 3}.items():
        monkeypatch.setattr(learned, name, value)
    return factors, network


def test_both_are_measured_on_the_same_crops(small):
    factors, network = small
    said = []
    content = learned.measure(Options(repeats=1), said.append)
    assert content["num_images"] == 7 and content["num_for_bits"] == 2
    assert content["limits"] == (0.002, 20.0)  # inside the noise levels of both
    numbers = 2 * (1 + 192 + 192 * (factors.factors.shape[2] + 1)) + 9
    assert content["num_parameters"]["mfa"] == numbers
    assert content["num_parameters"]["edm"] == sum(
        x.numel() for x in network.denoiser.pipeline.unet.parameters()
    )
    assert min(content["seconds_of_a_row"].values()) > 0
    edm, mfa = (content["models"][name] for name in ("edm", "mfa"))
    # random weights know less than the law that made the images
    assert edm["bits_less_first"]["mean"] > 0
    assert edm["weighted_loss_less_first"]["0.5"]["mean"] > 0
    assert mfa["bits_less_first"]["mean"] == 0 and edm["exact_bits_per_dimension"] is None
    assert "7 test crops" in said[0] and len(said) == 2 + 1 + 5 + 5 + 3 + 2
