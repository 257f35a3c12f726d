"""Perceptual distances against package lpips, and the one of digits by its orientation."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import torch
from helpers.metric_values import evaluation_of, truth_of

from bench.core import weights
from bench.core.catalogue import EXTRACTORS, PERCEPTUAL, why_unfit
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.core.weights import WEIGHTS, path_of
from bench.datasets.digits import Digits
from bench.metrics._embeddings import (
    classifier_embedding,
    embedded,
    load_lpips,
    lpips_embedding,
    pairwise,
    perceptual_distances,
    untrained_lpips,
)
from bench.metrics.perceptual import Perceptual, perceptual_columns, perceptual_id
from bench.problems.classifier import definition_of, trained

ALEX = "lpips-alex-v0.1"
PUBLISHED = WEIGHTS["alexnet"]


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_lpips(net: str):
    """Package lpips on a backbone of random weights: the formula is the same, the numbers are no LPIPS."""
    torch.manual_seed(0)
    return untrained_lpips(net)


@pytest.mark.slow
@pytest.mark.parametrize("net, channels, side", [("alex", 3, 64), ("alex", 1, 32), ("vgg", 3, 32)])
def test_agrees_with_the_package(net, channels, side):
    network = random_lpips(net)
    x_true = normal(2, channels, side, side, seed=0).clamp(-1, 1)
    samples = (x_true[:, None] + 0.3 * normal(2, 5, channels, side, side, seed=1)).clamp(-1, 1)
    # nearly collapsed
    samples[1] = samples[1, :1] + 0.003 * normal(5, channels, side, side, seed=2)
    samples = samples.clamp(-1, 1)
    actual = perceptual_distances(samples, x_true, "d", lpips_embedding(network))

    def distance(x, y):
        return network(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)).flatten()

    others = [(i, j) for i in range(5) for j in range(5) if i != j]
    first, second = map(list, zip(*others, strict=True))
    for i, (x, true) in enumerate(zip(samples, x_true, strict=True)):
        expected = {
            "d_mean": distance(x.mean(0, keepdim=True), true[None]),
            "d_sample": distance(x, true[None].expand_as(x)).mean(),
            "d_pairwise": distance(x[first], x[second]).mean(),
        }
        for name, value in expected.items():
            # float32 sums of some 10^4 terms, each right to 1e-7: their rounding stays well below 1e-5 of the value
            assert actual[name][i].item() == pytest.approx(value.item(), rel=1e-5, abs=1e-9)


def test_pairwise_is_the_squared_distance():
    vectors = 100 + normal(7, 50, seed=0).double()  # far from the origin: centring keeps the digits
    expected = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist").square()
    torch.testing.assert_close(pairwise(vectors), expected, rtol=1e-12, atol=1e-12)
    assert pairwise(vectors[:1].expand(4, 50)).abs().max() == 0


def test_blocks_and_range_do_not_change_the_vectors(monkeypatch):
    images = 3 * normal(11, 1, 8, 8, seed=0)
    passes = []

    def embed(x):
        passes.append(len(x))
        return x.flatten(1)

    whole = embedded(images, embed)
    torch.testing.assert_close(whole, images.clamp(-1, 1).flatten(1))
    monkeypatch.setattr("bench.metrics._embeddings.VALUES_PER_PASS", 4 * 64)
    torch.testing.assert_close(embedded(images, embed), whole)
    assert passes == [11, 4, 4, 3]


def test_one_pass_per_sample():
    passes = []

    def embed(x):
        passes.append(len(x))
        return x.flatten(1)

    perceptual_distances(normal(2, 6, 1, 8, 8, seed=0), normal(2, 1, 8, 8, seed=1), "d", embed)
    assert passes == [8, 8]  # six samples, their mean and the truth


@pytest.fixture
def placed(tmp_path, monkeypatch):
    """A file in torchvision's format, of random weights, where the loading code looks for it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = random_lpips("alex")
    state = {
        f"features.{key}": value
        for part in network.net.children()
        for key, value in part.state_dict().items()
    }
    state["classifier.1.weight"] = torch.zeros(2, 2)  # LPIPS has no use for the rest of AlexNet
    path = weights.folder() / WEIGHTS["alexnet"].file
    path.parent.mkdir(parents=True)

    def place(content):
        torch.save(content, path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setitem(
            weights.WEIGHTS, "alexnet", dataclasses.replace(WEIGHTS["alexnet"], sha256=sha256)
        )

    place(state)
    return place, state, network


@pytest.mark.slow
def test_the_backbone_is_read_from_its_file(placed):
    _, _, network = placed
    x, y = normal(3, 3, 32, 32, seed=0).clamp(-1, 1), normal(3, 3, 32, 32, seed=1).clamp(-1, 1)
    torch.manual_seed(1)  # the backbone's random weights must have no effect
    read = load_lpips("alex", path_of("alexnet"))
    torch.testing.assert_close(read(x, y), network(x, y), rtol=0, atol=0)


@pytest.mark.slow
def test_random_weights_in_its_place_give_numbers_that_are_not_named_lpips(placed, monkeypatch):
    _, _, network = placed
    # the file that is there has another hash
    monkeypatch.setitem(weights.WEIGHTS, "alexnet", PUBLISHED)
    file = weights.folder() / PUBLISHED.file
    mark = f"unverified-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    x_true = normal(2, 3, 32, 32, seed=0).clamp(-1, 1).double()
    x = (x_true[:, None] + 0.1 * normal(2, 3, 3, 32, 32, seed=1)).clamp(-1, 1)
    metric = Perceptual(networks=(ALEX,))
    truth = truth_of(Observed(), x_true, x_true, x, x_true, x_true, 3)
    evaluation = evaluation_of(truth, (metric,))
    assert evaluation.why_empty == {}
    values = evaluation.values(x.float())
    assert list(values) == [column.id for column in evaluation.columns]
    assert all(f"-{mark}@[-1,1]_" in id and value.isfinite().all() for id, value in values.items())
    assert all("unverified weights" in column.definition for column in evaluation.columns)
    expected = network(x[:, 0].float(), x_true.float()).flatten()
    first = evaluation.values(x[:, :1].float().expand(-1, 2, -1, -1, -1))
    actual = first[f"lpips-alex-v0.1-{mark}@[-1,1]_sample"]
    torch.testing.assert_close(actual.float(), expected, rtol=1e-4, atol=0)
    file.unlink()  # nothing is there: a reason under the published name
    absent = evaluation_of(truth_of(Observed(), x_true, x_true, x, x_true, x_true, 3), (metric,))
    reason = "n/a (weights absent: python -m bench weights fetch alexnet)"
    assert absent.why_empty == dict.fromkeys((c.id for c in perceptual_columns(ALEX)), reason)


@dataclasses.dataclass(frozen=True)
class Observed:
    """A measurement operator, as far as the columns by networks ask for it."""

    caps: Cap = Cap.RESIDUAL


@pytest.mark.slow
def test_a_file_of_something_else_is_refused_by_name(placed):
    place, state, _ = placed
    place({key: value for key, value in state.items() if key != "features.10.bias"})
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth: has no features\.10\.bias"):
        load_lpips("alex", path_of("alexnet"))
    place({"features.0.weight": pytest.fail})  # a function: unpickling it would run code
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth: is not a file of weights"):
        load_lpips("alex", path_of("alexnet"))
    (weights.folder() / WEIGHTS["alexnet"].file).write_bytes(b"page not found")
    with pytest.raises(UserError, match="is not a file of weights"):
        load_lpips("alex", weights.folder() / WEIGHTS["alexnet"].file)


@pytest.fixture(scope="module")
def classifier():
    data = Digits().load()
    short = dataclasses.replace(definition_of("digits-cnn-v1"), num_steps=150)
    rng = Rng(("test", "percept"), (0,), dtype=torch.float32)
    return trained(short, data["train"], data["train_label"], rng), data


def test_digits_of_another_class_are_farther_than_noisy_ones(classifier):
    network, data = classifier
    embed = classifier_embedding(network)
    x, labels = data["test"][:100], data["test_label"][:100]
    vectors = embedded(x, embed)
    to_others = pairwise(vectors)
    same = labels[:, None] == labels
    off = ~torch.eye(100, dtype=torch.bool)
    within, across = to_others[same & off].mean(), to_others[~same].mean()
    noise = normal(*x.shape, seed=0)
    by_noise = [
        (embedded(x + s * noise, embed) - vectors).square().sum(1).mean() for s in (0.1, 0.3)
    ]
    assert 0 < by_noise[0] < by_noise[1] < within < across


def test_a_collapsed_sampler_has_no_diversity_and_its_mean_is_a_sample(classifier):
    network, data = classifier
    x_true = data["test"][:3].double()
    samples = data["validation"][:3, None].double().expand(3, 4, 1, 8, 8)
    actual = perceptual_distances(samples, x_true, "d", classifier_embedding(network))
    assert actual["d_pairwise"].abs().max() < 1e-10
    torch.testing.assert_close(actual["d_mean"], actual["d_sample"], rtol=1e-5, atol=0)
    itself = perceptual_distances(
        x_true[:, None].expand(3, 4, 1, 8, 8), x_true, "d", classifier_embedding(network)
    )
    assert itself["d_sample"].abs().max() < 1e-10


def test_only_published_weights_are_named_lpips():
    assert perceptual_id(ALEX) == "lpips-alex-v0.1@[-1,1]"
    ids = [metric.id for metric in perceptual_columns("percept-digits-v1")]
    assert ids == [
        f"percept-digits-v1_{what}" for what in ("mean", "sample", "pairwise", "pairwise_ratio")
    ]
    assert all(
        "which is not LPIPS" in metric.definition
        for metric in perceptual_columns("percept-digits-v1")
    )


def test_which_images_a_network_is_for():
    assert why_unfit(PERCEPTUAL[ALEX], "digits", 8) == "n/a (image smaller than 32)"
    assert why_unfit(PERCEPTUAL[ALEX], "shapes", 32) == ""
    assert why_unfit(PERCEPTUAL["percept-digits-v1"], "digits", 8) == ""
    assert (
        why_unfit(EXTRACTORS["digits-cnn-v1"], "shapes", 32)
        == "n/a (digits-cnn-v1 is a network of digits)"
    )
    needed = [
        network.weights or network.classifier
        for network in (*PERCEPTUAL.values(), *EXTRACTORS.values())
    ]
    assert set(needed) <= {*WEIGHTS, "digits-cnn-v1"}
