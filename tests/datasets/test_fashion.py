"""`fashion`: the real files where Debian's package put them, and the messages for missing or wrong files."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.served import CUT_OFF, served

from bench.datasets import fashion
from bench.datasets.fashion import Fashion

REAL = Path("/usr/share/datasets/fashion-mnist")
LABELS = "train-labels-idx1-ubyte.gz"
NAMES = ("IMAGES", "LABELS", "TEST_IMAGES", "TEST_LABELS")
real_files = pytest.mark.skipif(not REAL.is_dir(), reason="needs Debian's dataset-fashion-mnist")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Write small IDX files, two of them packed, and pin them in place of the real ones."""
    draw = np.random.default_rng(0)
    monkeypatch.setattr(fashion, "NUM_TRAINING", 12)
    monkeypatch.setattr(fashion, "NUM_TEST", 5)
    monkeypatch.setattr(fashion, "FIRST_TEST_ID", 12)
    for number, name in enumerate(NAMES):
        file = getattr(fashion, name)
        shape = (12 if number < 2 else 5, *file.shape[1:])
        values = draw.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8)
        head = struct.pack(f">{1 + len(shape)}i", 0x800 + len(shape), *shape)
        data = head + values.tobytes()
        packed = number % 2 == 1
        (tmp_path / f"{file.name}{'.gz' * packed}").write_bytes(
            gzip.compress(data) if packed else data
        )
        pinned = file._replace(shape=shape, sha256=hashlib.sha256(data).hexdigest())
        monkeypatch.setattr(fashion, name, pinned)
    return tmp_path


def small(path, **parameters):
    return Fashion(
        **{"path": str(path), "num_train": 8, "num_validation": 3, "num_test": 4} | parameters
    )


def test_packed_and_unpacked_files_are_read(made):
    data = small(made).load()
    values = np.frombuffer((made / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    steps = 128 * (data["train"].double() + 1)
    assert torch.equal(
        steps.floor()[:, 0], torch.from_numpy(values.reshape(12, 28, 28)[:8].copy()).double()
    )
    assert data["validation_id"].tolist() == [9, 10, 11] and data["test_id"].tolist() == [
        12,
        13,
        14,
        15,
    ]
    labels = gzip.decompress((made / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    assert data["test_label"].tolist() == list(labels[:4])


def test_the_noise_of_an_image_does_not_depend_on_the_counts(made):
    other = small(made, num_train=2, num_validation=1).load()
    data = small(made).load()
    assert other["train"].equal(data["train"][:2])
    assert other["validation"].equal(data["validation"][2:])


def test_nothing_is_downloaded_without_being_asked(made, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch, "retrieve", lambda *_: pytest.fail("it was downloaded"))
    (made / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte.* is missing; .* fetch: true"):
        small(made).load()


@pytest.fixture
def published(made, tmp_path_factory, monkeypatch):
    """Move a packed file of labels to a server on this machine, from where it would be downloaded."""
    folder = tmp_path_factory.mktemp("published")
    (made / LABELS).rename(folder / LABELS)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(folder) as address:
        monkeypatch.setattr(fashion, "URL", f"{address}/")
        yield folder / LABELS


def test_a_missing_file_is_fetched_on_request(made, published):
    labels = gzip.decompress(published.read_bytes())[8:]
    assert small(made, fetch=True).load()["train_label"].tolist() == list(labels[:8])
    assert (made / LABELS).read_bytes() == published.read_bytes()


def test_another_file_than_the_published_one_is_refused(made, published):
    published.write_bytes(gzip.compress(b"another file"))
    with pytest.raises(ValueError, match=f"{LABELS}: sha256 of its unpacked bytes is .*delete it"):
        small(made, fetch=True).load()


@pytest.mark.parametrize("place, why", [(f"{CUT_OFF}/", ""), ("nowhere/", ".*404")])
def test_a_download_that_breaks_off_or_is_not_there_is_one_line_and_leaves_nothing(
    made, published, monkeypatch, place, why
):
    monkeypatch.setattr(fashion, "URL", fashion.URL + place)
    line = f"fashion: http.*{place}{LABELS} could not be fetched {why}.*copy it to {made}"
    with pytest.raises(ValueError, match=line) as error:
        small(made, fetch=True).load()
    assert "\n" not in str(error.value)
    assert [path.name for path in made.glob("*labels*")] == ["t10k-labels-idx1-ubyte.gz"]


DAMAGED = {"empty": b"", "no archive": b"no archive", "cut": gzip.compress(b"\0" * 2000)[:20]}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_another_or_a_damaged_file_is_refused(made, damaged):
    (made / "t10k-labels-idx1-ubyte.gz").write_bytes(damaged)
    with pytest.raises(ValueError, match="fashion: .*t10k-labels-idx1-ubyte.gz.*delete it"):
        small(made).load()


@pytest.mark.parametrize(
    "parameters", [{"num_train": 60_000}, {"num_test": 10_001}, {"num_validation": 0}]
)
def test_impossible_counts_are_named(parameters):
    with pytest.raises(ValueError, match="fashion: "):
        Fashion(path=".", **parameters)


@real_files
def test_the_real_files_are_those_that_are_pinned():
    data = Fashion(path=str(REAL), num_train=59_000, num_test=10_000).load()
    labels = torch.cat([data["train_label"], data["validation_label"]])
    assert labels.bincount().tolist() == [6000] * 10
    assert data["test_label"].bincount().tolist() == [1000] * 10
    values = (128 * (data["test"] + 1)).floor()
    assert data["train"].shape == (59_000, 1, 28, 28) and values.max() <= 256
    assert abs(values.mean() - 73.15) < 0.01  # of the 10000 test images, known from elsewhere
