"""A suite's folder: a broken artefact is named, and one run at a time is at work."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.artefacts import ArtefactError, write_csv, write_json
from bench.core.errors import UserError
from bench.plan.folder import check_artefacts, lock_folder

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.csv.info.json", "a.safetensors"])
@pytest.mark.parametrize("harm", ["edit", "cut"])
def test_a_broken_artefact_is_named(tmp_path, name, harm):
    from bench.core.artefacts import write_tensors

    write_json(tmp_path / "deep/a.json", {"x": 1})
    write_csv(tmp_path / "deep/a.csv", "x\n1\n", {})
    write_tensors(tmp_path / "deep/a.safetensors", {"x": [1.0, 2.0]}, {})
    check_artefacts(str(tmp_path))
    path = tmp_path / "deep" / name
    data = path.read_bytes()
    path.write_bytes(data[:-2] if harm == "cut" else data.replace(b"1", b"2", 1) + b"2")
    with pytest.raises(
        ArtefactError, match=r"a\.(json|csv|csv\.info\.json|safetensors): .*delete it and run"
    ):
        check_artefacts(str(tmp_path))


@pytest.mark.parametrize("harm", ["edit", "delete", "none"])
def test_files_in_a_foreign_format_are_checked_by_the_manifest(tmp_path, harm):
    from bench.core.artefacts import write_tensors

    names = ("pipeline/model_index.json", "pipeline/unet/w.safetensors")
    files = {name: tmp_path / "priors/edm" / name for name in names}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    check_artefacts(str(tmp_path))  # no manifest yet: a run was killed, and its files are nobody's
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    write_tensors(tmp_path / "priors/edm/edm.safetensors", {}, {"files": digests})
    broken = files["pipeline/unet/w.safetensors"]
    {"edit": lambda: broken.write_text("{ }"), "delete": broken.unlink, "none": lambda: None}[
        harm
    ]()
    if harm == "none":
        return check_artefacts(str(tmp_path))
    with pytest.raises(ArtefactError) as caught:
        check_artefacts(str(tmp_path))
    assert str(caught.value).startswith(f"{broken}: ") and "delete edm.safetensors and run" in str(
        caught.value
    )


def test_a_csv_without_its_record_is_named(tmp_path):
    write_csv(tmp_path / "a.csv", "x\n1\n", {})
    (tmp_path / "a.csv.info.json").unlink()
    with pytest.raises(ArtefactError, match=r"a\.csv: its record .* is gone"):
        check_artefacts(str(tmp_path))


def test_a_folder_belongs_to_one_living_process(tmp_path):
    root = str(tmp_path / "suite")
    code = f"from bench.plan.folder import lock_folder; lock_folder({root!r}); print('mine', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "mine\n"
    with pytest.raises(UserError, match="another run is at work"):
        lock_folder(root)
    left_behind = tmp_path / "suite/.metrics.csv.ab_cd012"
    left_behind.touch()
    other.kill()
    other.wait()
    lock_folder(root)
    assert not left_behind.exists()
