"""guided-diffusion's UNet: its weights in a diffusers network give the same output; other weights are refused."""

from __future__ import annotations

import pytest
import torch
from helpers.guided_unet import SMALL, reference
from helpers.learned_priors import normal

from bench.core.errors import UserError
from bench.priors.adapters.architectures import (
    ARCHITECTURES,
    Architecture,
    architecture_of,
    outline,
)
from bench.priors.adapters.diffusers import Pipeline, scheduler_of
from bench.priors.adapters.guided_unet import opened_unet, random_tensors
from bench.priors.adapters.unet_keys import foreign_state

THREE_LEVELS = {"multipliers": (1, 2, 2), "attention": (1, 2), "layers": 2}
NETWORKS = {
    "learned variance": ({"out_channels": 6}, 1),
    "classes": ({"num_classes": 3}, 1),
    "all q, then k, then v": ({"qkv": "by_kind"}, 2),
    "time added": ({"scale_shift": False}, 1),
    "convolutions change the resolution": ({"block_resampling": False, "attention": (0, 1)}, 1),
    "three levels": (THREE_LEVELS | {"out_channels": 6, "num_classes": 2, "qkv": "by_kind"}, 1),
    "other head and one channel": ({"in_channels": 1, "out_channels": 1, "head": 4}, 1),
}


def opened(architecture: Architecture, tensors, label: int | None) -> Pipeline:
    unet = opened_unet(tensors, architecture, "net.pt")
    return Pipeline(unet, scheduler_of("DDPMScheduler", {}), label)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_gives_what_the_original_gives(name):
    changes, conv_dims = NETWORKS[name]
    a = Architecture(**SMALL | changes)
    original = reference(a, conv_dims)
    label = None if a.num_classes is None else 1
    x, t = normal(2, a.in_channels, 8, 8, dtype=torch.float32), torch.tensor([3.0, 250.5])
    labels = None if label is None else torch.full((2,), label)
    with torch.no_grad():
        found = opened(a, original.state_dict(), label).predict(x, t)
        expected = original(x, t, labels)
    assert found.shape == x.shape and expected.shape[1] == a.out_channels
    # sums of float32 in another order; outputs are of order one
    torch.testing.assert_close(found, expected[:, : a.in_channels], rtol=0, atol=1e-5)


def test_the_way_back_gives_the_same_weights():
    for changes, conv_dims in NETWORKS.values():
        a = Architecture(**SMALL | changes)
        state = reference(a, conv_dims).state_dict()
        back = foreign_state(opened_unet(state, a, "").state_dict(), a, conv_dims)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[name], state[name]) for name in state)
    again = [random_tensors(a, 1) for _ in range(2)]
    assert all(torch.equal(again[0][name], again[1][name]) for name in again[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out.2.bias": None}, "missing out.2.bias$"),
        ({"label_emb.weight": torch.zeros(3, 32)}, "unexpected label_emb.weight$"),
        (
            {"middle_block.1.norm.weight": None, "a": torch.zeros(1), "out.1.bias": torch.zeros(1)},
            "missing middle_block.1.norm.weight; unexpected a, out.1.bias$",
        ),
        ({"out.2.weight": torch.zeros(6, 8, 3, 3)}, r"out.2.weight has shape \(6, 8, 3, 3\)"),
        ({"middle_block.1.qkv.bias": torch.zeros(47)}, r"qkv.bias has shape \(47,\)"),
        ({"middle_block.1.qkv.weight": torch.tensor(1.0)}, r"qkv.weight has shape \(\)"),
        ({"a\nb\x1b[31m": torch.zeros(1)}, r"unexpected a\\nb\\x1b\[31m$"),
    ],
)
def test_weights_of_another_network_are_named_in_one_line(changes, words):
    a = Architecture(**SMALL)
    tensors = {**reference(a).state_dict(), **changes}
    with pytest.raises(UserError, match=words) as told:
        opened_unet({n: w for n, w in tensors.items() if w is not None}, a, "net.pt")
    assert str(told.value).startswith("net.pt: ") and "\n" not in str(told.value)


def test_many_wrong_names_are_counted():
    a = Architecture(**SMALL)
    deeper = reference(Architecture(**SMALL | {"layers": 2})).state_dict()
    with pytest.raises(UserError, match="unexpected .* and [0-9]+ more"):
        opened_unet(deeper, a, "net.pt")


def test_published_architectures_have_the_published_number_of_weights():
    # 256 pixels, unconditional: the file of 2,211,383,297 bytes is four for each of these and a few thousand of names
    assert (
        sum(w.numel() for w in outline(ARCHITECTURES["adm-imagenet-256"]).parameters())
        == 552_814_086
    )
    # of torchcfm's CIFAR-10 network 35.7 million are said
    assert (
        35.6e6
        < sum(w.numel() for w in outline(ARCHITECTURES["torchcfm-cifar10"]).parameters())
        < 35.9e6
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("adm", "architecture: expected one of adm-ffhq-256, .*, got 'adm'"),
        ({"side": 8}, "parameters of architecture: missing a required argument: 'channels'"),
        (SMALL | {"side": 9}, "side: expected a multiple of 2 pixels, got 9"),
        (SMALL | {"attention": [2]}, "attention: expected levels up to 1"),
        (SMALL | {"attention": 1}, "attention: expected a list, got 1"),
        (SMALL | {"multipliers": []}, "multipliers: expected one or more"),
        (SMALL | {"multipliers": [1, 0]}, r"multipliers\[1\]: expected a whole number, .*, got 0"),
        (SMALL | {"layers": 0}, "layers: expected a whole number, 1 or more, got 0"),
        (SMALL | {"side": 8.0}, "side: expected a whole number, 1 or more, got 8.0"),
        (SMALL | {"out_channels": 2}, "out_channels: expected in_channels, 3, or twice as many"),
        (SMALL | {"groups": 3}, "groups: expected a divisor of 8 channels, got 3"),
        (SMALL | {"head": 7}, "head: expected a divisor of 16 channels, got 7"),
        (SMALL | {"num_classes": 0}, "num_classes: expected a count or nothing, got 0"),
        (SMALL | {"qkv": "by_row"}, "qkv: expected one of by_head, by_kind, got 'by_row'"),
    ],
)
def test_impossible_architectures_are_reported(given, words):
    with pytest.raises(ValueError, match=words):
        architecture_of(given)


def test_a_sixteenth_of_the_channels_at_a_small_size():
    a = architecture_of("adm-ffhq-256", 1 / 16, 32)
    assert (a.channels, a.side, a.head, a.groups, a.out_channels) == (8, 32, 8, 8, 6)
    assert architecture_of(SMALL, side=16).side == 16
