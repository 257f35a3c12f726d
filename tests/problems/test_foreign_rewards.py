"""Foreign rewards: the VGG-13 of the ODS paper, and rewards by a file of the user."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.problems import vgg, wrapped_reward
from bench.problems.classifier import definition_of
from bench.problems.reward import check_reward


@pytest.fixture(scope="module")
def narrow():
    return vgg.opened(vgg.NARROW)[0]


def theirs(weights: dict[str, torch.Tensor], side: int) -> nn.Module:
    """Return the network as torchvision has it, with the weights."""
    from torchvision.models.vgg import VGG, make_layers

    channels = [c // vgg.SIXTEENTH if isinstance(c, int) else c for c in vgg.CHANNELS]
    network = VGG(make_layers(channels, batch_norm=True), num_classes=10, init_weights=False)
    network.avgpool = nn.AdaptiveAvgPool2d(side)
    width, hidden = 512 // vgg.SIXTEENTH, vgg.HIDDEN // vgg.SIXTEENTH
    network.classifier[0] = nn.Linear(width * side**2, hidden)
    network.classifier[3], network.classifier[6] = nn.Linear(hidden, hidden), nn.Linear(hidden, 10)
    network.load_state_dict(weights)
    return network.eval()


@pytest.mark.parametrize("side", [1, 7])
def test_log_probabilities_are_those_of_the_original_network(narrow, side):
    weights = dict(narrow.weights)
    first = weights["classifier.0.weight"]
    weights["classifier.0.weight"] = first.repeat_interleave(side**2, 1) / side**2
    x = Rng(("test", "vgg"), (0,)).rand((4, 3, 32, 32))[0].float() * 2 - 1
    mean, std = (torch.tensor(values)[:, None, None] for values in (vgg.MEAN, vgg.STD))
    expected = theirs(weights, side)(((x + 1) / 2 - mean) / std).log_softmax(1)
    # float32 sums of 25088 numbers
    assert torch.allclose(vgg.VGG(weights).log_probs(x), expected, atol=1e-5)
    assert vgg.VGG(weights).features(x).shape == (4, 512 // vgg.SIXTEENTH)


def test_gradients_reach_the_image(narrow):
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(narrow.log_probs(x)[0, 0], x)
    assert gradient.abs().max() > 0


def test_absent_and_wrong_weights_are_reported_in_a_line(tmp_path, monkeypatch, narrow):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="cifar10-vgg13_bn: weights absent; copy state_dicts"):
        vgg.opened(vgg.PUBLISHED)
    place = tmp_path / "hub/checkpoints"
    place.mkdir(parents=True)
    torch.save({"features.0.weight": torch.zeros(1)}, place / vgg.FILE)
    with pytest.raises(UserError, match="holds other weights than those of VGG-13"):
        vgg.opened(vgg.PUBLISHED)


def test_a_file_of_the_users_is_a_reward(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"ffhq-wrapped: there is no rewards/ffhq\.py"):
        wrapped_reward.source_of("ffhq-wrapped")
    Path("rewards").mkdir()
    Path("rewards/ffhq.py").write_text("num_classes = 2\n")
    with pytest.raises(UserError, match="has no load"):
        wrapped_reward.opened(wrapped_reward.source_of("ffhq-wrapped"))
    reward = wrapped_reward.opened(wrapped_reward.source_of("ffhq-wrapped-stub"))
    x = torch.zeros(3, 3, 8, 8)
    assert reward.log_probs(x).shape == (3, reward.num_classes) == (3, 4)


def test_sizes_of_images_are_checked_where_the_reward_has_one():
    check_reward({"classifier": "ffhq-wrapped", "beta": 1}, (3, 64, 64))
    assert definition_of(vgg.PUBLISHED).x_shape == (3, 32, 32)
    with pytest.raises(ValueError, match="is for images"):
        check_reward({"classifier": vgg.PUBLISHED, "beta": 1}, (3, 64, 64))
