"""Set metrics against torch-fidelity and torchmetrics as their users call them, and by their orientation."""

from __future__ import annotations

import dataclasses
import hashlib
import math

import pytest
import torch
from torch.utils.data import Dataset

from bench.core import weights
from bench.core.errors import UserError
from bench.core.weights import WEIGHTS, path_of
from bench.metrics._extractors import from_bytes, open_extractor, open_inception, register, to_bytes
from bench.metrics._set_statistics import compare, density_coverage, kid_interval
from bench.metrics.sets import (
    FEWEST_FOR_FID,
    Counts,
    column_id,
    compare_samples,
    compare_with_floors,
    floor_columns,
    sample_columns,
    why_too_few,
)

NAME = "digits-cnn-v1"
NUM = 300


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def images(num: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Smooth images (num, 1, 8, 8), brighter by `shift`."""
    coarse = torch.nn.functional.interpolate(
        normal(num, 1, 3, 3, seed=seed), size=8, mode="bilinear"
    )
    return (0.4 * coarse + shift).clamp(-1, 1)


def network(x: torch.Tensor) -> torch.Tensor:
    """Seven features that are not linear in the image."""
    return (x.flatten(1) @ normal(x[0].numel(), 7, seed=9) / 4).tanh()


@pytest.fixture
def extract():
    register(NAME, network)
    return open_extractor(NAME)


class Bytes(Dataset):
    """What torch-fidelity takes: uint8 (c, h, w)."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = to_bytes(x)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.x[i]


def test_bytes_and_back():
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 1.0, 3.0])
    # halves go to the even level, as round() does
    assert to_bytes(x).tolist() == [0, 0, 64, 128, 255, 255]
    levels = torch.arange(256, dtype=torch.uint8)
    assert (to_bytes(from_bytes(levels)) == levels).all()


@pytest.mark.slow
def test_agrees_with_torch_fidelity_called_by_name(extract):
    from torch_fidelity import calculate_metrics

    x, real = images(NUM, 0, 0.1), images(NUM, 1)
    options = {
        "fid": True,
        "kid": True,
        "prc": True,
        "kid_subset_size": NUM,
        "kid_subsets": 1,
        "cuda": False,
    }
    expected = calculate_metrics(
        input1=Bytes(x),
        input2=Bytes(real),
        feature_extractor=NAME,
        verbose=False,
        cache=False,
        **options,
    )
    actual = compare(extract(x)[:, None], extract(real), NUM)
    # the same features, in float32 there and in float64 here
    assert actual["fid"] == pytest.approx(expected["frechet_inception_distance"], rel=1e-5)
    assert actual["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert (actual["precision"], actual["recall"]) == pytest.approx(
        (expected["precision"], expected["recall"]), abs=1e-9
    )


@pytest.mark.slow
def test_fid_and_kid_agree_with_torchmetrics_to_six_digits(extract):
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Network(torch.nn.Module):
        num_features = 7

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return network(from_bytes(x)).double()

    x, real = images(NUM, 0, 0.1), images(NUM, 1)
    fid = FrechetInceptionDistance(feature=Network()).set_dtype(torch.float64)
    kid = KernelInceptionDistance(feature=Network(), subsets=1, subset_size=NUM)
    for metric in (fid, kid):
        metric.update(to_bytes(x), real=False)
        metric.update(to_bytes(real), real=True)
    actual = compare(extract(x)[:, None], extract(real), NUM)
    assert actual["fid"] == pytest.approx(fid.compute().item(), rel=1e-6)
    assert actual["kid"] == pytest.approx(kid.compute()[0].item(), rel=1e-6)


def test_kid_of_sets_of_different_sizes_is_the_mean_over_subsets(extract):
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, real = extract(images(60, 0, 0.1)), extract(images(40, 1))
    subsets = kid_features_to_metric(
        x, real, kid_subset_size=20, kid_subsets=4000, rng_seed=0, verbose=False
    )
    value = kid_interval(x[:, None], real)[0]
    # the mean over all subsets is the U-statistic; 4000 of them leave std / sqrt(4000), here four of those
    error = subsets["kernel_inception_distance_std"] / math.sqrt(4000)
    assert value == pytest.approx(subsets["kernel_inception_distance_mean"], abs=4 * error)


def test_the_interval_of_kid_covers_the_truth_and_accounts_for_groups():
    """Two equal laws have KID 0. 16 groups of 8 points that are alike, as samples of a measurement are."""
    covered, widths, apart = 0, [], []
    for seed in range(60):
        centres, own = normal(16, 1, 5, seed=seed), normal(16, 8, 5, seed=1000 + seed)
        x = (0.8 * centres + 0.6 * own).double()
        real = normal(200, 5, seed=2000 + seed).double()
        _, low, high = kid_interval(x, real)
        covered += low <= 0 <= high
        widths.append(high - low)
        _, low, high = kid_interval(x.flatten(0, 1)[:, None], real)
        apart.append(high - low)
    # a 99 % interval misses once in a hundred; 16 groups and a skew statistic cost a little: 55 of 60 or more
    assert covered >= 55
    # 128 points taken for independent ones are believed too much
    assert sum(widths) > 1.5 * sum(apart)


def test_density_and_coverage_by_hand():
    """Reals on a line at 0, 1, ..., 9: each reaches to its fifth neighbour."""
    real = torch.arange(10, dtype=torch.float64)[:, None]
    reach = real[:, 0].clone()
    for i in range(10):
        reach[i] = (real[:, 0] - i).abs().sort().values[5]
    samples = torch.tensor([[0.5], [4.5], [100.0]], dtype=torch.float64)
    inside = (samples - real.T).abs() < reach
    expected = inside.sum().item() / 15, inside.any(0).double().mean().item()
    assert density_coverage(samples, real) == pytest.approx(expected, abs=1e-12)


def test_chunks_do_not_change_the_counts(extract, monkeypatch):
    x, real = extract(images(60, 0, 0.1)).unflatten(0, (6, 10)), extract(images(41, 1))
    whole = compare(x, real, 30)
    monkeypatch.setattr("bench.metrics._set_statistics.ROWS", 7)
    assert compare(x, real, 30) == pytest.approx(whole, rel=1e-9)


def test_each_column_catches_its_fault(extract):
    """Against a perfect sampler: one that is biased, one that has collapsed, one that is too wide."""
    held_out, train = images(200, 0), images(200, 1)
    real_images = compare_with_floors(NAME, extract, held_out, train, 200)
    perfect = images(200, 2)
    runs = {
        "perfect": perfect,
        "biased": images(200, 2, 0.5),
        "collapsed": perfect[:2].repeat(100, 1, 1, 1) + 1e-2 * normal(200, 1, 8, 8, seed=3),
        "wide": 1.8 * perfect,
    }
    actual = {
        name: compare_samples(x.unflatten(0, (8, 25)), real_images) for name, x in runs.items()
    }

    def column(statistic):
        return {name: values[column_id(statistic, NAME, 200)] for name, values in actual.items()}

    kid, coverage, recall, precision, density = map(
        column, ("kid", "coverage", "recall", "precision", "density")
    )
    low, high = column("kid_low"), column("kid_high")
    assert low["perfect"] < 0 < high["perfect"] and kid["perfect"] == min(kid.values())
    # 200 images are too few for KID to see width
    assert low["biased"] > 0 and low["collapsed"] > 0 and low["wide"] < 0
    assert (
        coverage["collapsed"] < 0.3 < 0.9 < coverage["perfect"]
        and recall["collapsed"] < 0.1 < 0.8 < recall["wide"]
    )
    assert (
        precision["wide"] < 0.85 < precision["perfect"]
        and precision["collapsed"] > precision["perfect"]
    )
    assert density["biased"] < 0.6 and density["wide"] < 0.6 and 0.8 < density["perfect"] < 1.2


def test_floors_are_those_of_real_images(extract):
    held_out, train = images(600, 0), images(700, 1)
    real_images = compare_with_floors(NAME, extract, held_out, train, 500)
    seen, real = extract(train[:500]), extract(held_out)
    expected = compare(seen[:, None], real, 250)
    assert real_images.floors[column_id("fid_floor_train", NAME, 500)] == expected["fid"]
    halves = compare(real[:300, None], real[300:], 250)
    assert real_images.floors[column_id("kid_floor_halves", NAME, 300)] == halves["kid"]
    # equal laws: what FID has then is bias, in proportion to 1/n + 1/R: 1/500 + 1/600 against 1/300 + 1/300
    assert 0 < expected["fid"] < halves["fid"]


def test_every_column_has_a_number_or_a_reason(extract):
    for num, num_train, num_real in ((512, 300, 500), (40, 300, 500), (4, 300, 12), (512, 4, 500)):
        real_images = compare_with_floors(
            NAME, extract, images(num_real, 0), images(num_train, 1), num
        )
        values = (
            compare_samples(images(num, 2).unflatten(0, (4, -1)), real_images) | real_images.floors
        )
        counts = Counts(num, num_train, num_real)
        reasons = why_too_few(NAME, counts)
        ids = [
            metric.id for metric in (*sample_columns(NAME, counts), *floor_columns(NAME, counts))
        ]
        assert len(ids) == len(set(ids)) == 20
        assert set(ids) == set(values) | set(reasons) and not set(values) & set(reasons)
    assert why_too_few(NAME, Counts(40, 300, 500))["fid-digits-cnn-v1-n40"] == (
        f"n/a (FID by digits-cnn-v1 needs {FEWEST_FOR_FID[NAME]} images or more, has 40; see KID)"
    )


@pytest.fixture
def inception(tmp_path, monkeypatch):
    """A file in torch-fidelity's format, of random weights, placed where it belongs."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = weights.folder() / WEIGHTS["inception"].file
    path.parent.mkdir(parents=True)
    torch.save({}, path)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3(
            "random", ["2048"], feature_extractor_weights_path=str(path)
        )
    torch.save(network.state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(
        weights.WEIGHTS, "inception", dataclasses.replace(WEIGHTS["inception"], sha256=sha256)
    )
    return network


@pytest.mark.slow
def test_inception_is_read_from_its_file(inception):
    x = images(2, 0).repeat(1, 1, 4, 4)
    actual = open_inception(path_of("inception"))(x)
    (expected,) = inception(to_bytes(x).expand(-1, 3, -1, -1))
    assert actual.shape == (2, 2048)
    torch.testing.assert_close(actual, expected.double())


@pytest.mark.slow
def test_another_file_than_inceptions_is_refused_by_name(tmp_path):
    path = tmp_path / WEIGHTS["inception"].file
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(
        UserError, match=r"6726825d\.pth: is not what torch-fidelity's Inception needs"
    ):
        open_inception(path)
    torch.save({"a": pytest.fail}, path)  # a function: unpickling it would run code
    with pytest.raises(UserError, match=r"6726825d\.pth: is not a file of weights"):
        open_inception(path)
