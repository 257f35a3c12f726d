"""`celeba`, `lsun`, `imagenet`, `cifar10`, on small sets in the layout of the real ones."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from bench.core.registry import build, load
from bench.datasets._image_files import id_of
from bench.plan.schema import dataset_plugin


@pytest.fixture
def made(tmp_path):
    """Return a function that makes a small set and opens it."""

    def make(name, **parameters):
        cls = load("dataset", name)
        return cls(**{**cls.tiny(tmp_path), **parameters})

    return make


def test_entries_on_the_page_are_accepted():
    page = Path(__file__).resolve().parents[2] / "docs" / "data-sets.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    for name, parameters in yaml.safe_load(block)["datasets"].items():
        assert build("dataset", dataset_plugin(name, parameters), parameters)


def ids_of(names) -> list[int]:
    return [id_of(name) for name in names]


@pytest.mark.parametrize("name", ["list_eval_partition.txt", "list_eval_partition.csv"])
def test_celeba_follows_its_partition_in_either_format(made, tmp_path, name):
    celeba = made("celeba")
    rows = [
        line.split() for line in (tmp_path / "list_eval_partition.txt").read_text().splitlines()
    ]
    (tmp_path / "list_eval_partition.txt").unlink()
    text = {
        "txt": "".join(f"{image} {part}\n" for image, part in rows),
        "csv": "image_id,partition\n" + "".join(f"{image},{part}\n" for image, part in rows),
    }
    (tmp_path / name).write_text(text[name[-3:]])
    data = celeba.load()
    for number, part in enumerate(("train", "validation", "test")):
        inside = [image for image, code in rows if code == str(number)]
        assert data[f"{part}_id"].tolist() == ids_of(inside)
    image = Image.open(tmp_path / "img_align_celeba" / rows[0][0])
    small = np.asarray(image.crop((0, 20, 178, 198)).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.allclose(data["train"][0].permute(1, 2, 0), small / 127.5 - 1, atol=1e-6)


def test_celeba_cuts_out_faces_where_it_is_asked_to(made, tmp_path):
    data = made("celeba", crop="celeba-128", side=128).load()
    image = np.asarray(Image.open(tmp_path / "img_align_celeba/000001.jpg"))[57:185, 25:153]
    assert np.allclose(data["train"][0].permute(1, 2, 0), image / 127.5 - 1, atol=1e-6)


def test_celeba_names_missing_files(made, tmp_path):
    celeba = made("celeba")
    (tmp_path / "list_eval_partition.txt").unlink()
    with pytest.raises(ValueError, match="celeba: .* holds no list_eval_partition.txt or "):
        celeba.load()


def test_lsun_tests_on_its_first_images(made, tmp_path):
    data = made("lsun").load()
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert data["test_id"].tolist() == ids_of(names[:2])
    assert data["test"].shape == (2, 3, 16, 16)  # of 40 x 32 pixels


def test_imagenet_has_classes_in_the_order_of_its_list(made, tmp_path):
    listed = made("imagenet").load()
    assert listed["test_label"].tolist() == [0, 1] and listed["train_label"].tolist() == [
        0,
        1,
        0,
        1,
    ]
    (tmp_path / "list.txt").write_text("n02/7.JPEG\nn02/1.JPEG\nn01/0.JPEG\n")
    data = made("imagenet", num_validation=1, num_test=1)
    (tmp_path / "list.txt").write_text("n02/7.JPEG\nn02/1.JPEG\nn01/0.JPEG\n")
    assert data.load()["test_label"].tolist() == [1]
    assert data.load()["test_id"].tolist() == ids_of(["n02/7.JPEG"])


@pytest.mark.parametrize(("keep_aspect", "box"), [(False, (0, 0, 30, 20)), (True, (5, 0, 25, 20))])
def test_imagenet_keeps_the_aspect_only_where_it_is_asked_to(made, tmp_path, keep_aspect, box):
    """With the aspect kept, a square of the image remains; resizing first and cutting then is nearly the same."""
    data = made("imagenet", names="", keep_aspect=keep_aspect).load()
    image = Image.open(tmp_path / "n01/0.JPEG").crop(box)
    small = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR)) / 127.5 - 1
    error = data["test"][0].permute(1, 2, 0).double().numpy() - small
    assert np.abs(error)[:, 2:-2].max() < (0.08 if keep_aspect else 1e-6)


def test_cifar10_reads_records_of_the_binary_version(made, tmp_path):
    data = made("cifar10").load()
    assert {part: len(data[part]) for part in ("train", "validation", "test")} == {
        "train": 18,
        "validation": 7,
        "test": 4,
    }
    batch = np.frombuffer((tmp_path / "data_batch_2.bin").read_bytes(), np.uint8).reshape(5, -1)
    image_id = 5 + 3  # the fourth image of the second file
    (row,) = (data["train_id"] == image_id).nonzero().flatten().tolist()
    assert data["train_label"][row] == batch[3, 0]
    red = torch.from_numpy(batch[3, 1 : 1 + 1024] / 127.5 - 1).view(32, 32)
    assert (data["train"][row, 0] - red).abs().max() < 1e-6
    assert data["validation_id"].tolist() == list(range(18, 25))
    assert data["test_id"].tolist() == list(range(1_000_000, 1_000_004))


def truncate(folder: Path) -> None:
    whole = (folder / "data_batch_3.bin").read_bytes()
    (folder / "data_batch_3.bin").write_bytes(whole[:-1])


def put_a_pickle(folder: Path) -> None:
    (folder / "data_batch_3.bin").write_bytes(b"\x80\x02}q" + bytes(3 * 3073 - 4))


def remove(folder: Path) -> None:
    (folder / "data_batch_3.bin").unlink()


@pytest.mark.parametrize("break_file", [truncate, put_a_pickle, remove])
def test_cifar10_names_a_file_without_records(made, tmp_path, break_file):
    cifar10 = made("cifar10")
    break_file(tmp_path)
    with pytest.raises(ValueError, match="cifar10: .*data_batch_3.bin.*binary version") as error:
        cifar10.load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"num_test": 6}, "num_test must be at most 5"), ({"num_validation": 25}, "below 25")],
)
def test_cifar10_has_no_more_images_than_its_files(made, parameters, words):
    with pytest.raises(ValueError, match=words):
        made("cifar10", **parameters).load()


def test_cifar10_notices_a_file_that_ends_between_two_records(made, tmp_path):
    cifar10 = made("cifar10")
    file = tmp_path / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[: 2 * 3073])
    with pytest.raises(ValueError, match=r"hold \[5, 5, 2, 5, 5\] images, expected equally many"):
        cifar10.load()


def test_the_images_of_celeba_may_lie_behind_a_link(made, tmp_path, tmp_path_factory):
    celeba = made("celeba")
    before = celeba.load()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "faces"
    (tmp_path / "img_align_celeba").rename(elsewhere)
    (tmp_path / "img_align_celeba").symlink_to(elsewhere)
    after = celeba.load()
    assert all(after[name].equal(before[name]) for name in before)
