"""Public models: terms are printed, hashes pinned or recorded, and files that changed are refused. No network."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.served import served

from bench.core import checkpoints
from bench.core.checkpoints import CHECKPOINTS, Checkpoint, check, fetch, listing, place
from bench.core.errors import UserError
from bench.core.registry import load

CONTENT = b"weights"
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """An empty folder of weights, and a public model on a server of this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "net.pt").write_bytes(CONTENT)
    with served(tmp_path / "published") as address:
        known = Checkpoint("adm", f"{address}/net.pt", "for tests only", "net.pt")
        monkeypatch.setitem(CHECKPOINTS, "net", known)
        yield tmp_path / "torch/hub/checkpoints"


def pinned(monkeypatch, sha256: str) -> None:
    monkeypatch.setitem(CHECKPOINTS, "net", dataclasses.replace(CHECKPOINTS["net"], sha256=sha256))


def test_terms_come_before_the_download_and_the_first_hash_is_kept(home, capsys):
    fetch(["net"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net: licence for tests only" and "->" in lines[1] and HASH in lines[2]
    assert place("net") == home / "net.pt"
    assert (home / "net.pt.sha256").read_text() == f"{HASH}\n"
    fetch(["net"])
    assert "->" not in capsys.readouterr().out
    check(["net"])
    assert "sha256 as at the first download" in capsys.readouterr().out


def test_a_later_download_must_agree_with_the_first(home, tmp_path):
    fetch(["net"])
    (home / "net.pt").unlink()
    (tmp_path / "published" / "net.pt").write_bytes(b"other weights")
    with pytest.raises(UserError, match="net.pt: could not be fetched .*hash"):
        fetch(["net"])
    assert not (home / "net.pt").exists()


def test_a_page_in_place_of_the_weights_is_refused_and_not_remembered(home, tmp_path):
    (tmp_path / "published" / "net.pt").write_bytes(b"\n<!DOCTYPE html><html>Quota exceeded</html>")
    with pytest.raises(
        UserError, match=r"could not be fetched \(the server sent a web page"
    ) as told:
        fetch(["net"])
    assert str(home / "net.pt") in str(told.value) and not list(home.glob("net.pt*"))
    (tmp_path / "published" / "net.pt").write_bytes(CONTENT)
    fetch(["net"])
    assert (home / "net.pt.sha256").read_text() == f"{HASH}\n"


def test_a_file_that_changed_is_refused(home):
    fetch(["net"])
    (home / "net.pt").write_bytes(b"other weights")
    with pytest.raises(UserError, match=f"its sha256 begins with .*, expected {HASH[:12]}"):
        place("net")
    with pytest.raises(SystemExit):
        check(["net"])


def test_a_pinned_file_is_the_pinned_one(home, monkeypatch, capsys):
    pinned(monkeypatch, HASH)
    fetch(["net"])
    check(["net"])
    assert "sha256 as pinned" in capsys.readouterr().out
    (home / "net.pt").unlink()
    pinned(monkeypatch, "0" * 64)
    with pytest.raises(UserError, match="could not be fetched"):
        fetch(["net"])


def test_what_is_absent_is_one_line_with_its_place(home):
    with pytest.raises(UserError, match="net: weights absent; run .* fetch net, or copy") as told:
        place("net")
    assert str(home / "net.pt") in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(UserError, match="expected one of ffhq_10m, .*, got 'nothing'"):
        fetch(["nothing"])


def test_a_pipeline_that_cannot_be_fetched_leaves_nothing(home, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(CHECKPOINTS, "net", Checkpoint("edm", "nobody/net", "none", "net"))

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(UserError, match=r"net: could not be fetched \(no network\); copy it to"):
        fetch(["net"])
    assert not (home / "net").exists()


def test_weights_of_a_fetched_pipeline_have_their_hash_kept(home, monkeypatch, capsys):
    monkeypatch.setitem(CHECKPOINTS, "net", Checkpoint("edm", "nobody/net", "none", "net"))
    asked = []

    def client(hub_id, allow_patterns, local_dir):
        asked.extend([hub_id, *allow_patterns])
        (Path(local_dir) / "unet").mkdir(parents=True)
        (Path(local_dir) / "unet" / "diffusion_pytorch_model.bin").write_bytes(CONTENT)

    monkeypatch.setattr("huggingface_hub.snapshot_download", client)
    fetch(["net"])
    record = home / "net" / "unet" / "diffusion_pytorch_model.bin.sha256"
    assert record.read_text() == f"{HASH}\n" and "*diffusion_pytorch_model.bin" in asked
    record.with_name("diffusion_pytorch_model.bin").write_bytes(b"other")
    with pytest.raises(UserError, match="expected"):
        place("net")


def test_every_public_model_has_terms_a_family_and_its_fields():
    for name, known in CHECKPOINTS.items():
        assert known.licence and known.file and known.sha256 in ("", known.sha256.lower())
        family = load("prior", known.family)
        fields = {field.name for field in dataclasses.fields(family)}
        assert (
            set(known.settings) <= fields
            and ("pipeline" if known.is_folder else "weights") in fields
        )
        assert name in listing()
    assert len({known.file for known in CHECKPOINTS.values()}) == len(CHECKPOINTS)


def test_only_a_folder_without_safetensors_is_to_be_converted(home, monkeypatch, capsys):
    for name in ("net.safetensors", "net.bin"):
        known = Checkpoint("edm", "nobody/net", "none", name.replace(".", "-"))
        monkeypatch.setitem(CHECKPOINTS, "net", known)
        known.path.mkdir(parents=True)
        (known.path / name).write_bytes(CONTENT)
        fetch(["net"])
        is_told = (
            "its weights are pickled: posterior-bench weights convert net"
            in capsys.readouterr().out
        )
        assert is_told == name.endswith(".bin")


def test_names_are_no_ones_elses():
    assert not set(checkpoints.CHECKPOINTS) & {"alexnet", "vgg16", "inception", "random"}
