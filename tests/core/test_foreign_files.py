"""Files of other projects: pickled ones are converted once, and nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from bench.core.artefacts import read_json
from bench.core.errors import UserError
from bench.core.foreign_files import (
    PICKLED,
    card_path,
    converted,
    digest,
    foreign_tensors,
    write_safetensors,
)

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
ORIGIN = {"source": "https://example.org/net.pt", "licence": "MIT"}


class Touch:
    """Code that runs when it is unpickled: it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", PICKLED)
def test_a_pickled_file_is_converted_once_with_a_card(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    torch.save(TENSORS, path)
    tensors, card = foreign_tensors(path, about=ORIGIN)
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    safe = tmp_path / "net.safetensors"
    assert {key: card[key] for key in ORIGIN} == ORIGIN and card["num_numbers"] == 8
    assert (card["pickled_sha256"], card["safetensors_sha256"]) == (digest(path), digest(safe))
    written = safe.stat().st_mtime_ns
    path.write_bytes(path.read_bytes())
    assert foreign_tensors(path)[1] == read_json(card_path(path))  # the file is the one of the card
    path.unlink()
    assert torch.equal(foreign_tensors(path)[0]["a.bias"], TENSORS["a.bias"])
    assert safe.stat().st_mtime_ns == written


def test_another_pickled_file_is_converted_again(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(TENSORS, path)
    converted(path)
    torch.save({"a.bias": torch.zeros(1)}, path)
    assert list(foreign_tensors(path)[0]) == ["a.bias"]


def test_weights_below_a_key_of_a_run_are_found(tmp_path):
    path = tmp_path / "run.pt"
    inner = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    optimiser = {"state": {}, "param_groups": [{"lr": 1e-4}]}
    torch.save({"ema_model": inner, "net_model": {}, "optim": optimiser, "step": 7}, path)
    assert foreign_tensors(path, "ema_model")[0].keys() == TENSORS.keys()
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(
        UserError, match="expected tensors by name, found also ema_model, net_model"
    ):
        foreign_tensors(path)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_code_in_a_pickled_file_is_not_run(tmp_path, writer, suffix):
    path, left = tmp_path / f"net{suffix}", tmp_path / "left"
    content = TENSORS | {"a.code": Touch(left)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match="holds more than tensors, which is not read") as told:
        foreign_tensors(path)
    assert "\n" not in str(told.value) and str(path) in str(told.value)
    assert not left.exists() and not path.with_suffix(".safetensors").exists()
    what_pickle_calls, arguments = Touch(left).__reduce__()
    what_pickle_calls(*arguments)  # it would have left its mark
    assert left.exists()


def test_what_a_hostile_file_calls_is_named_and_no_way_to_run_it_is_shown(tmp_path):
    content = pickle.dumps({"a": Touch(tmp_path / "left")}, protocol=2)
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(UserError, match=Touch(tmp_path).__reduce__()[0].__name__) as told:
        foreign_tensors(tmp_path / "net.pt")
    assert "weights_only" not in str(told.value) and "\x1b" not in str(told.value)


def test_a_byte_that_changed_among_the_numbers_is_noticed(tmp_path):
    weights = torch.arange(1000.0)
    torch.save({"a": weights}, tmp_path / "net.pt")
    whole = bytearray((tmp_path / "net.pt").read_bytes())
    whole[whole.index(weights[500:510].numpy().tobytes())] ^= 1
    (tmp_path / "net.pt").write_bytes(whole)
    with pytest.raises(UserError, match="does not match its checksum; copy the file again"):
        foreign_tensors(tmp_path / "net.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_a_broken_file_is_one_line(tmp_path, suffix, damage):
    path = tmp_path / f"net{suffix}"
    torch.save(TENSORS, path) if suffix == ".pt" else write_safetensors(path, TENSORS)
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "text": b"<html>"}[damage])
    with pytest.raises(UserError, match="is truncated") as told:
        foreign_tensors(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(1)], "holds a list; expected weights by name"),
        ({}, "expected tensors by name, found nothing"),
        ({"a": 1}, "expected tensors by name, found also a"),
        ({"a": torch.ones(1), "module.a": torch.zeros(1)}, "with and without `module.`"),
        ({"a": torch.eye(3).to_sparse()}, "net.safetensors: cannot be written"),
        ({"a": torch.ones(3, device="meta")}, "net.safetensors: cannot be written"),
        ({"a": torch.ones(1).expand(10**15)}, "net.safetensors: cannot be written"),
    ],
)
def test_unexpected_content_is_reported(tmp_path, content, words):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(UserError, match=words):
        foreign_tensors(tmp_path / "net.pt")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_quantised_weights_are_refused_in_one_line(tmp_path):
    torch.save(
        {"a": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, tmp_path / "q.pt"
    )
    with pytest.raises(UserError, match="q.safetensors: cannot be written .*qint8") as told:
        foreign_tensors(tmp_path / "q.pt")
    assert "\n" not in str(told.value) and not (tmp_path / "q.safetensors").exists()


def test_a_missing_file_or_one_of_another_kind_is_reported(tmp_path):
    for name in ("net.pt", "net.safetensors"):
        with pytest.raises(UserError, match="is missing"):
            foreign_tensors(tmp_path / name)
    with pytest.raises(UserError, match="expected a file of weights, .pt, .pth, .bin"):
        foreign_tensors(tmp_path / "net.pkl")


def test_a_converted_file_that_was_edited_is_refused(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(TENSORS, path)
    converted(path)
    write_safetensors(path.with_suffix(".safetensors"), {"a.bias": torch.zeros(1)})
    with pytest.raises(UserError, match="is not what its card net.card.json says; delete both"):
        foreign_tensors(path)
