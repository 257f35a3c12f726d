"""The network of any data set: its training labels, and the order of its distances."""

from __future__ import annotations

import pytest
import torch

from bench.core.artefacts import read_json, write_json, write_tensors
from bench.core.catalogue import dataset_of, extractor_network, is_convnet, perceptual_network
from bench.core.layout import Layout
from bench.core.rng import Rng
from bench.metrics._embeddings import classifier_embedding, embedded, perceptual_distances
from bench.problems import convnet
from bench.stages import classifier as teach
from bench.stages.evaluate import open_network

COLOUR = (3, 32, 32)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rng(seed: int = 0) -> Rng:
    return Rng(("test", "convnet"), (seed,), dtype=torch.float32)


def scenes(num: int, shape: tuple = COLOUR, seed: int = 0) -> torch.Tensor:
    """Bright above and dark below, with smooth patches of colour: what tells up from down in photographs."""
    coarse = torch.nn.functional.interpolate(
        normal(num, shape[0], 4, 4, seed=seed), shape[1:], mode="bilinear"
    )
    light = torch.linspace(0.6, -0.6, shape[1])[:, None]
    return (light + 0.3 * coarse).clamp(-1, 1)


def test_images_are_turned_by_the_number_of_their_label():
    x = normal(9, *COLOUR)
    images, labels = convnet.turned(x)
    assert labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    for image, one, label in zip(images, x, labels.tolist(), strict=True):
        assert torch.equal(image, torch.rot90(one, label, (-2, -1)))
    wide, labels = convnet.turned(normal(4, 1, 8, 12))  # a quarter turn would be of another shape
    assert wide.shape == (4, 1, 8, 12) and labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), COLOUR, (3, 64, 64)])
def test_images_of_any_size_have_features(shape):
    network = convnet.untrained(shape, 4, rng())
    x = normal(2, *shape)
    assert network.features(x.double()).dtype == torch.float64
    assert network.features(x).shape == (2, 64) and network.log_probs(x).shape == (2, 4)
    assert [maps.shape[1] for maps in network.activations(x)] == [16, 32, 64]


@pytest.fixture(scope="module")
def trained() -> convnet.ConvNet:
    return convnet.trained(scenes(200), None, rng(), num_steps=30)


def test_rotations_of_new_images_are_recognised(trained):
    assert convnet.accuracy(trained, scenes(80, seed=1), None) > 0.8
    again = convnet.trained(scenes(200), None, rng(), num_steps=2)
    same = convnet.trained(scenes(200), None, rng(), num_steps=2)
    assert all(torch.equal(x, same.weights[name]) for name, x in again.weights.items())


def test_labels_are_recognised_if_there_are_some():
    x = scenes(120)
    labels = torch.arange(120) % 3
    x += 0.5 * (labels - 1.0)[:, None, None, None]  # dark, as it was, bright
    data = {"train": x, "train_label": labels, "test": x[:30], "test_label": labels[:30]}
    assert convnet.labels_of(data, "test") is data["test_label"]
    assert convnet.labels_of({"train": x}, "train") is None
    # all labels are equal
    assert convnet.labels_of({"train": x, "train_label": 0 * labels}, "train") is None
    network = convnet.trained(x, labels, rng(), num_steps=20)
    assert network.log_probs(x[:2]).shape == (2, 3) and convnet.accuracy(network, x, labels) > 0.8


def test_its_distance_grows_with_noise_and_blur_and_other_images_are_farther(trained):
    embed, x = classifier_embedding(trained), scenes(20, seed=2)

    def away(other: torch.Tensor) -> float:
        return (embedded(other, embed) - embedded(x, embed)).square().sum(1).mean().item()

    noisy = [away(x + level * normal(*x.shape, seed=3)) for level in (0.0, 0.02, 0.1, 0.3)]
    pooled = [torch.nn.functional.avg_pool2d(x, k).repeat_interleave(k, 2) for k in (1, 2, 4, 8)]
    coarse = [
        away(small.repeat_interleave(k, 3)) for small, k in zip(pooled, (1, 2, 4, 8), strict=True)
    ]
    assert noisy[0] < 1e-9 and noisy == sorted(noisy)
    assert coarse[0] < 1e-9 and coarse == sorted(coarse)
    assert noisy[1] < away(x.roll(1, 0))
    collapsed = perceptual_distances(x[:2, None].expand(2, 4, *COLOUR), x[2:4], "d", embed)
    assert collapsed["d_pairwise"].abs().max() < 1e-8 < collapsed["d_sample"].min()


def test_the_workflow_trains_one_on_any_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(convnet, "DEFINITION", convnet.Definition(num_steps=2, batch_size=8))
    x = scenes(12, (3, 16, 16))
    write_tensors(
        tmp_path / "data/my-own.safetensors", {"train": x, "validation": x[:0], "test": x}, {}
    )
    spec = tmp_path / "specs/classifiers/my-own-convnet-v1.json"
    write_json(spec, {"root": str(tmp_path), "classifier": "my-own-convnet-v1"})
    with torch.no_grad():
        teach.main(str(spec))
    layout = Layout(tmp_path)
    card = read_json(layout.classifier("my-own-convnet-v1").with_name("card.json"))
    assert set(card["accuracy"]) == {"train", "test"}
    assert card["tells"] == "rotations" and card["number_of_labels"] == 4
    assert isinstance(open_network(layout, "my-own-convnet-v1"), convnet.ConvNet)


def test_names_contain_the_data_set():
    network = perceptual_network("percept-my-photos-v1")
    assert network and network.classifier == "my-photos-convnet-v1"
    assert dataset_of(network.classifier) == "my-photos" and extractor_network(network.classifier)
    assert dataset_of("digits-cnn-v1") == "digits" and not is_convnet("digits-cnn-v1")
    digits = perceptual_network("percept-digits-v1")
    assert digits and digits.classifier == "digits-cnn-v1"
    for name in ("percept-v1", "percept--v1", "lpips-alex", "-convnet-v1"):
        assert perceptual_network(name) is None and extractor_network(name) is None
