"""Metrics on vertices: the contract on a sphere, formulas by brute force, and reasons for the metrics of images."""

from types import SimpleNamespace

import pytest
import torch

from bench.conformance import metrics as conformance
from bench.core.metric import Context
from bench.metrics._evaluation import open_metric
from bench.metrics.sphere import NO_SPHERE, Sphere, crps, powers
from bench.numerics.icosphere import icosphere


@pytest.fixture
def on_a_sphere(monkeypatch):
    monkeypatch.setattr(conformance, "SHAPE", (1, 42, 1))
    return conformance.results_of(Sphere(), rewarded=False)


def test_on_a_sphere_every_column_keeps_the_contract(on_a_sphere):
    assert len(on_a_sphere.expected) == 5
    for faults in ("column", "computed", "batch", "goal", "orientation"):
        assert list(getattr(conformance, f"{faults}_faults")(on_a_sphere)) == []


def test_on_images_there_is_a_reason():
    context = SimpleNamespace(x_shape=(1, 8, 8))
    reasons = Sphere().why_empty(SimpleNamespace(context=context))
    assert set(reasons.values()) == {NO_SPHERE} and len(reasons) == 5


@pytest.mark.parametrize("name", ["ssim", "perceptual", "sets"])
def test_metrics_of_images_have_a_reason_on_vertices(name):
    names = {"perceptual": "networks", "sets": "extractors"}
    known = {"perceptual": ("lpips-alex-v0.1",), "sets": ("inception-v3-compat",)}
    metric = open_metric(name, {names[name]: known[name]} if name in names else {})
    signals = {part: torch.zeros(9, 1, 642, 1) for part in ("train", "validation", "test")}
    context = Context("sphere-digits", (1, 642, 1), 8, 32, lambda _: None, lambda: signals)
    reasons = metric.why_empty(SimpleNamespace(context=context))
    assert set(reasons) == {column.id for column in metric.columns(context)}
    assert all(why.startswith("n/a (image smaller than") for why in reasons.values())


def test_the_score_is_that_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 7, 1, 42, 1, dtype=torch.float64, generator=generator)
    x_true = torch.randn(2, 1, 42, 1, dtype=torch.float64, generator=generator)
    pairs = (x[:, :, None] - x[:, None]).abs().sum((1, 2)) / (7 * 6)
    expected = (x - x_true[:, None]).abs().mean(1) - pairs / 2
    torch.testing.assert_close(crps(x, x_true), expected)


def test_the_power_of_an_eigenfunction_is_of_its_degree():
    values = icosphere(642).eigenfunctions(16)[1]
    x = torch.from_numpy(3 * values[:, 5] + 2 * values[:, 12])[None, None, None, :, None]
    # functions 4 to 8 are of degree 2, 9 to 15 of degree 3
    torch.testing.assert_close(
        powers(x, 3), torch.tensor([[0.0, 0, 9, 4]]).double(), atol=1e-7, rtol=0
    )


def test_a_degree_that_a_sphere_has_not_is_refused_or_has_a_reason():
    with pytest.raises(ValueError, match="largest_degree: expected a number from 1 to 24, got 0"):
        Sphere(largest_degree=0)
    context = SimpleNamespace(x_shape=(1, 42, 1))
    reasons = Sphere(largest_degree=6).why_empty(SimpleNamespace(context=context))
    assert reasons == {"sphere_spectrum_error": "n/a (42 vertices have no degree 6)"}
