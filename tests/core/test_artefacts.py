"""Artefacts are read as they were written, bit for bit, and any damage on disk is reported with the file's name."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from bench.core import artefacts
from bench.core.artefacts import (
    ArtefactError,
    check,
    check_recorded,
    read_csv,
    read_header,
    read_json,
    read_tensors,
    write_blocks,
    write_bytes,
    write_csv,
    write_json,
    write_tensors,
)

TENSORS = {
    "x": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,  # not contiguous
    "double": torch.tensor([0.1, float("nan"), float("inf")], dtype=torch.float64),
    "id": torch.tensor([3, 1]),
    "is_test": torch.tensor([True, False]),
    "number": torch.tensor(2.5),
    "empty": torch.empty(2, 0, 1, 8, 8),
}
HEADER = {
    "task": "gmm-denoise",
    "sigma_y": 0.1,
    "settings": {"zeta": 1.0, "deep": [1, "a", None]},
    "admitted": [True, False],
    "perplexity": None,
    "reason": "",
    "like_json": ["1", "null", '"quoted"', "NaN"],
    "one": "1",
    "null": "null",
    "quoted": '"quoted"',
    "words": "needs DECODER: 3 \u2260 4",
}


def write_all(folder):
    """One artefact of each kind."""
    write_tensors(folder / "a.safetensors", TENSORS, HEADER)
    write_csv(folder / "a.csv", "task,value\ngmm-denoise,1.25\n", {"rows": 1})
    write_json(folder / "a.json", {"task": "gmm-denoise", "value": 1.25, "list": (1, 2)})
    return [folder / f"a.{suffix}" for suffix in ("safetensors", "csv", "json")]


def same(a, b):
    """Equal in type, shape and bits, NaN included."""
    return (a.dtype, a.shape, a.numpy().tobytes()) == (b.dtype, b.shape, b.numpy().tobytes())


def test_tensors_and_header_come_back(tmp_path):
    path = tmp_path / "deep" / "a.safetensors"
    write_tensors(path, TENSORS, HEADER)
    tensors, header = read_tensors(path)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert same(tensor, TENSORS[name]), name
    assert len(header.pop("sha256")) == 64
    assert header == HEADER
    assert read_header(path).items() >= HEADER.items()


def test_numpy_arrays_come_back_too(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"x": np.arange(6).reshape(2, 3).T}, {})
    assert read_tensors(tmp_path / "a.safetensors")[0]["x"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_plain_safetensors_reads_the_file(tmp_path):
    write_tensors(tmp_path / "a.safetensors", TENSORS, HEADER)
    with safe_open(str(tmp_path / "a.safetensors"), "pt") as f:
        assert sorted(f.keys()) == sorted(TENSORS)
        assert all(same(f.get_tensor(name), tensor) for name, tensor in TENSORS.items())
        assert f.metadata()["task"] == "gmm-denoise"
        assert json.loads(f.metadata()["settings"]) == HEADER["settings"]


def test_json_and_csv_come_back(tmp_path):
    _, csv, path = write_all(tmp_path)
    content = read_json(path)
    assert len(content.pop("sha256")) == 64
    assert content == {"task": "gmm-denoise", "value": 1.25, "list": [1, 2]}
    text, info = read_csv(csv)
    assert text == csv.read_text() == "task,value\ngmm-denoise,1.25\n"
    assert info["rows"] == 1


def test_json_that_was_read_can_be_written_again(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    write_json(tmp_path / "b.json", read_json(tmp_path / "a.json"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_equal_content_gives_equal_bytes(tmp_path):
    first, second = write_all(tmp_path / "1"), write_all(tmp_path / "2")
    # in any order
    write_tensors(second[0], dict(reversed(TENSORS.items())), dict(reversed(HEADER.items())))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert check(first[0]) is check(first[1]) is check(first[2]) is None


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a.json", b"old")

    def fail(*_):
        raise OSError("disk is full")

    monkeypatch.setattr(artefacts.os, "replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_bytes(tmp_path / "a.json", b"new")
    assert os.listdir(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"old"


def test_a_csv_that_could_not_be_written_is_not_there(tmp_path, monkeypatch):
    write_csv(tmp_path / "a.csv", "a\n1\n", {})

    def fail(path, content):
        raise OSError("disk is full")

    monkeypatch.setattr(artefacts, "write_json", fail)
    with pytest.raises(OSError):
        write_csv(tmp_path / "a.csv", "a\n2\n", {})
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["safetensors", "csv", "json"])
def test_every_truncation_is_noticed_by_name(tmp_path, kind):
    path = write_all(tmp_path)[kind]
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 5), *range(len(whole) - 9, len(whole))}:
        path.write_bytes(whole[:length])
        with pytest.raises(
            ArtefactError, match=f"^{path}: .*delete it and run the same command again$"
        ):
            check(path)
    path.write_bytes(whole + b" ")
    with pytest.raises(ArtefactError, match=str(path)):
        check(path)


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["safetensors", "csv", "json"])
def test_a_flipped_bit_in_any_byte_is_noticed_by_name(tmp_path, kind):
    # but for the case of a letter in JSON's \u escapes, which says the same; the header is left without them
    header = {**HEADER, "words": "plain"}
    path = write_all(tmp_path)[kind]
    if kind == 0:
        write_tensors(path, TENSORS, header)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(ArtefactError, match=str(path)):
            check(path)


def edited(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def test_edited_values_are_noticed_by_name(tmp_path):
    tensors, csv, path = write_all(tmp_path)
    edited(tensors, b'"sigma_y": "0.1"', b'"sigma_y": "0.2"')
    edited(csv, b"1.25", b"1.35")
    edited(path, b"1.25", b"1.35")
    for reader, file in (
        (read_tensors, tensors),
        (read_header, tensors),
        (read_csv, csv),
        (read_json, path),
    ):
        with pytest.raises(ArtefactError, match=f"^{file}: does not match"):
            reader(file)


def test_an_edited_record_of_a_csv_is_noticed_by_name(tmp_path):
    info = write_all(tmp_path)[1].with_name("a.csv.info.json")
    edited(info, b'"rows": 1', b'"rows": 2')
    with pytest.raises(ArtefactError, match=f"^{info}: does not match"):
        read_csv(tmp_path / "a.csv")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ArtefactError, match=f"^{tmp_path}/none.json: is missing"):
        read_json(tmp_path / "none.json")
    with pytest.raises(ArtefactError, match=f"^{tmp_path}/none.safetensors: is missing"):
        read_tensors(tmp_path / "none.safetensors")
    write_all(tmp_path)
    (tmp_path / "a.csv.info.json").unlink()
    with pytest.raises(ArtefactError, match=f"^{tmp_path}/a.csv.info.json: is missing"):
        read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "index", [b"[]", b"3", b"null", b'"text"', b'{"__metadata__": []}', b'{"__metadata__": null}']
)
def test_any_other_header_is_refused_with_a_message(tmp_path, index):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(index).to_bytes(8, "little") + index)
    with pytest.raises(ArtefactError, match=f"^{path}: "):
        check(path)


def test_json_nested_without_end_is_refused_with_a_message(tmp_path):
    text = b'{"a": ' * 10**5 + b"1" + b"}" * 10**5 + b"\n"
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ArtefactError, match=r"a\.json: is not valid JSON"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ArtefactError, match=r"a\.safetensors: is truncated or not a safetensors"):
        read_header(tmp_path / "a.safetensors")


def test_words_in_a_header_that_look_like_nested_json_come_back(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {}, {"reason": "[" * 10**5})
    assert read_header(tmp_path / "a.safetensors")["reason"] == "[" * 10**5


def test_foreign_safetensors_are_distinguished_from_damaged_ones(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ArtefactError, match="not written by this harness"):
        read_tensors(tmp_path / "a.safetensors")


def blocks_of(tensors, num_rows):
    """Cut tensors (n, ...) into blocks, with tensors of one axis and of more axes in each."""
    for part in ("a", "b"):
        for start in range(0, len(tensors[part]), num_rows):
            yield {name: tensors[name][start : start + num_rows] for name in (part, f"{part}_id")}


MANY = {
    "a": torch.arange(7 * 6, dtype=torch.float32).reshape(7, 2, 3),
    "a_id": torch.arange(7) * 1000,
    "b": torch.arange(12, dtype=torch.uint8).reshape(3, 4),
    "b_id": torch.tensor([3, 1, 2]),
}


@pytest.mark.parametrize("num_rows", [1, 3, 100])
def test_blocks_come_back_as_one_tensor_each(tmp_path, num_rows):
    path, header = tmp_path / "deep" / "a.safetensors", {"task": "x"}

    def blocks():
        yield from blocks_of(MANY, num_rows)
        header["num"] = 3

    write_blocks(path, blocks(), lambda: header)
    tensors, found = read_tensors(path)
    assert found.items() >= {"task": "x", "num": 3}.items()
    assert tensors.keys() == MANY.keys()
    assert all(same(tensors[name], MANY[name]) for name in MANY)
    write_blocks(tmp_path / "b.safetensors", blocks_of(MANY, 2), lambda: header)
    assert path.read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    edited(path, torch.tensor(41.0).numpy().tobytes(), b"\0\0\0\0")
    with pytest.raises(ArtefactError, match="does not match the sha256"):
        read_tensors(path)


def test_blocks_of_one_name_must_follow_each_other(tmp_path):
    block = {"x": torch.ones(2, 2)}
    with pytest.raises(ValueError, match="blocks of x do not follow each other"):
        write_blocks(tmp_path / "a.safetensors", [block, {"y": torch.ones(2, 2)}, block], dict)
    assert os.listdir(tmp_path) == []


def test_a_large_file_is_mapped_and_not_read_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    write_blocks(path, blocks_of(MANY, 2), dict)
    monkeypatch.setattr(artefacts, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(artefacts, "_bytes", lambda path: pytest.fail("it was read as a whole"))
    tensors, _ = read_tensors(path)
    assert all(same(tensors[name], MANY[name]) for name in MANY)
    tensors["a"].zero_()  # changes this process's copy and not the file
    assert same(read_tensors(path)[0]["a"], MANY["a"])


def recorded(folder):
    path = folder / "fig.csv"
    write_csv(path, "x\n1\n", {"suite": "s"}, {"fig.png": b"picture", "fig.pdf": b"page"})
    return path


@pytest.mark.parametrize("name", ["fig.csv", "fig.png", "fig.pdf", "fig.csv.info.json"])
@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "delete", "folder"])
def test_a_picture_that_belongs_to_a_csv_is_checked_with_it(tmp_path, name, harm):
    path = recorded(tmp_path)
    check_recorded(path)
    broken = tmp_path / name
    data = broken.read_bytes()
    harms = {"cut": data[:-1], "flip": bytes([data[0] ^ 1]) + data[1:], "empty": b""}
    broken.unlink()
    if harm in harms:
        broken.write_bytes(harms[harm])
    elif harm == "folder":
        broken.mkdir()
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        check_recorded(path)


def test_a_kill_while_pictures_are_written_leaves_no_csv_that_vouches_for_them(
    tmp_path, monkeypatch
):
    path = recorded(tmp_path)
    monkeypatch.setattr(artefacts, "write_bytes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recorded(tmp_path)
    assert not path.exists()


def test_a_disk_that_cannot_be_written_to_is_reported_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artefacts.os, "replace", full)
    for write in (lambda path: write_json(path, {}), lambda path: write_tensors(path, {}, {})):
        with pytest.raises(ArtefactError) as caught:
            write(tmp_path / "a")
        assert str(caught.value) == (
            f"{tmp_path}/a: cannot be written (no space left on device); mend that and run the same command again"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "a.json").mkdir()
    (tmp_path / "a.safetensors").mkdir()
    for name, read in (("a.json", read_json), ("a.safetensors", read_header)):
        with pytest.raises(ArtefactError, match=f"{name}: is a folder.*; delete it and run"):
            read(tmp_path / name)


def test_a_folder_in_the_place_of_a_file_that_is_to_be_written_is_named(tmp_path):
    (tmp_path / "a.md").mkdir()
    with pytest.raises(ArtefactError, match=r"a\.md: is a folder.*; delete it and run"):
        write_bytes(tmp_path / "a.md", b"page")


@pytest.mark.parametrize("folder", ["results/reference/default", "results/published"])
@pytest.mark.parametrize("harm", ["edit", "delete"])
def test_a_committed_file_is_to_be_restored_since_no_run_makes_it(tmp_path, folder, harm):
    path = tmp_path / folder / "provenance.json"
    write_json(path, {"a": 1})
    path.unlink() if harm == "delete" else path.write_text("{}\n")
    with pytest.raises(ArtefactError, match=f"restore it, e.g. by git checkout -- {path}") as told:
        read_json(path)
    assert "delete it" not in str(told.value) and "run the" not in str(told.value)


@pytest.mark.parametrize("harm", ["edit", "delete"])
def test_the_advice_about_a_broken_record_is_to_delete_its_file_which_a_job_makes(tmp_path, harm):
    path = tmp_path / "metrics.csv"
    write_csv(path, "a\n1\n", {})
    record = Path(f"{path}.info.json")
    record.unlink() if harm == "delete" else record.write_text("{}\n")
    with pytest.raises(ArtefactError, match=f"^{record}: .*; delete metrics.csv and run the same"):
        read_csv(path)
