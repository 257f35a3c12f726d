"""Weights: their places, messages for missing or wrong files, and their download, without a network."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.served import CUT_OFF, served

from bench.core import weights
from bench.core.errors import UserError
from bench.core.weights import (
    WEIGHTS,
    Weights,
    folder,
    main,
    missing,
    path_of,
    placed,
    unverified,
    why_absent,
)

CONTENT = b"a network"
HASH = hashlib.sha256(CONTENT).hexdigest()
PIN = HASH[:8]


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """An empty folder of weights, and one known file, published by a server on this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / f"small-{PIN}.pth").write_bytes(CONTENT)
    with served(tmp_path / "published") as address:
        known = Weights(f"small-{PIN}.pth", f"{address}/small-{PIN}.pth", HASH, "tests")
        monkeypatch.setitem(weights.WEIGHTS, "small", known)
        yield tmp_path / "torch/hub/checkpoints"


def test_the_folder_is_that_of_torch_hub(monkeypatch):
    import torch

    for variable, value in (
        ("TORCH_HOME", "/some/where"),
        ("XDG_CACHE_HOME", "/a/cache"),
        ("HOME", "/home/me"),
    ):
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.setenv(variable, value)
        assert folder() == Path(torch.hub.get_dir()) / "checkpoints"
        monkeypatch.delenv(variable)


def test_names_and_addresses_are_those_of_the_libraries():
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torchvision.models import AlexNet_Weights, VGG16_Weights

    published = {
        "alexnet": AlexNet_Weights.IMAGENET1K_V1.url,
        "vgg16": VGG16_Weights.IMAGENET1K_V1.url,
        "inception": URL_INCEPTION_V3,
    }
    assert {name: known.url for name, known in WEIGHTS.items()} == published
    for known in WEIGHTS.values():
        assert known.url.endswith(f"/{known.file}")
        assert len(known.sha256) == 64 and known.file.endswith(f"-{known.sha256[:8]}.pth")


def test_what_is_missing_is_named_with_its_place_and_how_to_get_it(home, capsys):
    line = missing("alexnet")
    known = WEIGHTS["alexnet"]
    for part in (known.file, str(home), "python -m bench weights fetch alexnet", known.url):
        assert part in line
    assert "\n" not in line
    with pytest.raises(UserError) as error:
        path_of("alexnet")
    assert str(error.value) == line
    with pytest.raises(SystemExit) as end:
        main("check", "alexnet", "inception")
    assert end.value.code == 1
    assert f"alexnet: {line}\n" in capsys.readouterr().out
    cell = "n/a (weights absent: python -m bench weights fetch alexnet)"
    assert why_absent("alexnet") == cell and str(home) not in cell


def test_fetch_puts_the_file_in_its_place_once(home, capsys):
    assert missing("small")
    main("fetch", "small")
    assert (
        path_of("small").read_bytes() == CONTENT and missing("small") == why_absent("small") == ""
    )
    assert [path.name for path in home.iterdir()] == [f"small-{PIN}.pth"]
    capsys.readouterr()
    main("fetch", "small")
    assert "->" not in capsys.readouterr().out
    main("check", "small")
    assert "is there" in capsys.readouterr().out


def test_another_file_is_refused_by_name(home):
    home.mkdir(parents=True)
    (home / f"small-{PIN}.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(
        UserError, match=rf"small-{PIN}\.pth: its sha256 begins with \w+, expected {PIN}.*delete it"
    ):
        path_of("small")
    with pytest.raises(SystemExit):
        main("check", "small")


def test_another_file_is_used_under_the_name_of_its_own_hash(home):
    assert unverified("small") == ""  # there is none
    home.mkdir(parents=True)
    path = home / f"small-{PIN}.pth"
    path.write_bytes(CONTENT)
    assert unverified("small") == "" and placed("small") == path_of("small") == path
    path.write_bytes(b"weights of ours")
    own = hashlib.sha256(b"weights of ours").hexdigest()[:8]
    assert unverified("small") == f"unverified-{own}" and placed("small") == path
    path.unlink()
    with pytest.raises(UserError, match="weights absent"):
        placed("small")


def test_a_download_with_another_hash_leaves_nothing(home, monkeypatch):
    monkeypatch.setitem(
        weights.WEIGHTS, "small", dataclasses.replace(WEIGHTS["small"], sha256="0" * 64)
    )
    with pytest.raises(UserError, match="could not be fetched .*hash.*copy it into"):
        main("fetch", "small")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "file, why",
    [
        (f"{CUT_OFF}/small-{PIN}.pth", "could not be fetched"),
        ("absent.pth", "could not be fetched .*404"),
    ],
)
def test_a_download_that_breaks_off_or_is_not_there_is_one_line_and_leaves_nothing(
    home, monkeypatch, file, why
):
    url = WEIGHTS["small"].url.replace(f"small-{PIN}.pth", file)
    monkeypatch.setitem(weights.WEIGHTS, "small", dataclasses.replace(WEIGHTS["small"], url=url))
    with pytest.raises(UserError, match=f"{why}.*copy it into .*{file}") as error:
        main("fetch", "small")
    assert "\n" not in str(error.value)
    assert not home.exists() or list(home.iterdir()) == []


def test_without_a_network_the_message_says_which_file_to_copy_where(home, monkeypatch):
    nowhere = "http://127.0.0.1:9/small.pth"  # nothing listens at the port of `discard`
    gone = dataclasses.replace(WEIGHTS["small"], url=nowhere)
    monkeypatch.setitem(weights.WEIGHTS, "small", gone)
    with pytest.raises(
        UserError,
        match="could not be fetched .*copy it into .*checkpoints from http://127.0.0.1:9/",
    ):
        main("fetch", "small")


def test_an_unknown_network_is_refused_by_name():
    with pytest.raises(UserError, match="expected one of alexnet, vgg16, inception, got 'resnet'"):
        main("check", "resnet")
