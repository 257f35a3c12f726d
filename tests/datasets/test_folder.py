"""`folder`: which files are read, into which split, with which framing, and how damaged ones are treated."""

import hashlib
import os

import numpy as np
import pytest
import torch
from PIL import Image

from bench.core.artefacts import read_tensors, write_json
from bench.core.errors import UserError
from bench.core.folders import names_below
from bench.datasets._framing import Framing
from bench.datasets._image_files import id_of
from bench.datasets.folder import Folder
from bench.stages import data as prepare

PARTS = ("train", "validation", "test")
COUNTS = {"num_validation": 2, "num_test": 3}


def picture(seed, width=8, height=8):
    values = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def made(tmp_path):
    """Make ten pictures of 8 x 8 pixels, in and outside subfolders, and files that are not pictures of the set."""
    for name in ("a", "b", "B", "deep/er/c", "deep/d", "e", "f", "g", "h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(ord(name[-1])).save(tmp_path / f"{name}.png")
    picture(1).save(tmp_path / "z.JPEG", quality=95)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    (tmp_path / ".thumbnails").mkdir()
    picture(2).save(tmp_path / ".thumbnails" / "a.png")
    return tmp_path


SORTED = ["B.png", "a.png", "b.png", "deep/d.png", "deep/er/c.png", "e.png", "f.png", "g.png"]
SORTED += ["h.png", "z.JPEG"]


def names_in(data, names=SORTED):
    """Return the names of each split, from the ids."""
    name_of = {id_of(name): name for name in names}
    return {part: [name_of[i] for i in data[f"{part}_id"].tolist()] for part in PARTS}


def values_of(path, names):
    arrays = [np.asarray(Image.open(path / name).convert("RGB")) for name in names]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def test_files_are_sorted_by_name_and_split_in_that_order(made):
    data = Folder(str(made), side=8, **COUNTS).load()
    names = names_in(data)
    assert names == {"test": SORTED[:3], "validation": SORTED[3:5], "train": SORTED[5:]}
    for part in PARTS:
        assert data[part].dtype == torch.float32
        x = values_of(made, names[part]).double() * 2 / 255 - 1
        assert (data[part] - x).abs().max() < 1e-6


def test_offset_and_limit_count_names_before_they_are_split(made):
    data = Folder(str(made), side=8, offset=2, limit=6, num_train=1, **COUNTS).load()
    assert names_in(data) == {
        "test": SORTED[2:5],
        "validation": SORTED[5:7],
        "train": SORTED[7:8],
    }


def test_a_list_gives_names_and_order(made):
    (made / "list.txt").write_text("# mine\ng.png\n\nz.JPEG\ndeep/d.png\na.png\n")
    data = Folder(str(made), side=8, names="list.txt", num_validation=1, num_test=1).load()
    assert names_in(data) == {
        "test": ["g.png"],
        "validation": ["z.JPEG"],
        "train": ["deep/d.png", "a.png"],
    }


@pytest.mark.parametrize(
    "lines",
    [
        "image_id,partition\nb.png,0\ne.png,1\na.png,2\ng.png,2\n",
        "b.png train\ne.png\tvalidation\na.png test\ng.png  2\n",
    ],
)
def test_a_file_may_divide_the_images(made, lines):
    (made / "parts.csv").write_text(lines)
    data = Folder(str(made), side=8, split="parts.csv").load()
    assert names_in(data) == {
        "test": ["a.png", "g.png"],
        "validation": ["e.png"],
        "train": ["b.png"],
    }
    few = Folder(str(made), side=8, split="parts.csv", num_test=1).load()
    assert names_in(few)["test"] == ["a.png"]


def test_an_id_follows_from_the_name_alone(made):
    before = Folder(str(made), side=8, **COUNTS).load()
    (made / "B.png").unlink()
    after = Folder(str(made), side=8, **COUNTS).load()
    assert before["test_id"][1:].equal(after["test_id"][:2])
    assert min(after["train_id"]) >= 0 and max(after["train_id"]) < 2**53


def test_classes_are_folders_and_come_in_turn(tmp_path):
    for name in ("dog/1", "dog/2", "dog/3", "cat/1", "cat/2", "emu/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(3).save(tmp_path / f"{name}.png")
    data = Folder(str(tmp_path), side=8, num_validation=1, num_test=3, classes=True).load()
    assert names_in(
        data, [f"{n}.png" for n in ("cat/1", "cat/2", "dog/1", "dog/2", "dog/3", "emu/1")]
    ) == {
        "test": ["cat/1.png", "dog/1.png", "emu/1.png"],
        "validation": ["cat/2.png"],
        "train": ["dog/2.png", "dog/3.png"],
    }
    assert data["test_label"].tolist() == [0, 1, 2] and data["train_label"].tolist() == [1, 1]


def test_grey_images_have_one_channel(made):
    data = Folder(str(made), side=8, grey=True, **COUNTS).load()
    grey = np.asarray(Image.open(made / "B.png").convert("L"))
    assert data["test"].shape == (3, 1, 8, 8)
    assert np.allclose(data["test"][0, 0], grey / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_8_bit_image_is_read_as_colour(mode):
    image = picture(4).convert(mode)
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(Framing(8)(image), expected)


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "box", "lanczos"])
@pytest.mark.parametrize(("width", "height"), [(37, 50), (50, 37), (41, 40), (20, 90)])
def test_resize_then_crop_is_what_torchvision_does(name, width, height):
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    image = picture(5, width, height)
    expected = CenterCrop(16)(Resize(16, InterpolationMode(name))(image))
    found = Framing(16, "centre", name, order="resize-then-crop")(image)
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_without_antialias_it_is_what_torchvision_does_to_tensors(name):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import pil_to_tensor, resize

    image = picture(6, 50, 37)
    expected = resize(
        pil_to_tensor(image), [16, 16], InterpolationMode(name), antialias=False
    ).numpy()
    assert np.array_equal(Framing(16, "none", name, antialias=False)(image), expected)


def test_a_crop_of_the_centre_is_the_largest_square():
    image = picture(7, 21, 12)
    assert np.array_equal(
        Framing(12, "centre")(image), np.asarray(image)[:, 4:16].transpose(2, 0, 1)
    )


@pytest.mark.parametrize(
    ("crop", "side", "rows", "columns"),
    [
        ("celeba-128", 128, slice(121 - 64, 121 + 64), slice(89 - 64, 89 + 64)),
        ("celeba-178", 178, slice(20, 198), slice(0, 178)),
    ],
)
def test_the_crops_of_celeba(crop, side, rows, columns):
    image = picture(8, 178, 218)
    found = Framing(side, crop)(image)
    assert np.array_equal(found, np.asarray(image)[rows, columns].transpose(2, 0, 1))
    with pytest.raises(ValueError, match="is 218 x 178 pixels, expected 178 x 218"):
        Framing(side, crop)(picture(8, 218, 178))


def damage(made):
    """Make one picture of another size, one truncated, one no picture; return what is said of each, by name."""
    picture(9, 9, 8).save(made / "a.png")
    whole = (made / "z.JPEG").read_bytes()
    (made / "z.JPEG").write_bytes(whole[: len(whole) // 2])
    (made / "g.png").write_text("<html>404</html>")
    return {"a.png": "is 9 x 8 pixels, expected 8 x 8", "z.JPEG": "cannot be", "g.png": "cannot be"}


@pytest.mark.parametrize("name", ["a.png", "z.JPEG", "g.png"])
def test_a_damaged_or_odd_sized_image_is_one_line_with_its_name(made, name):
    words = damage(made)[name]
    (made / "list.txt").write_text("\n".join(["b.png", "e.png", name, "f.png"]))
    folder = Folder(str(made), side=8, names="list.txt", num_validation=1, num_test=1)
    with pytest.raises(ValueError, match=f"{made}/{name}: {words}") as error:
        folder.load()
    assert "\n" not in str(error.value)


def test_damaged_images_are_skipped_with_a_count_where_the_suite_says_so(made, capsys):
    damage(made)
    facts = {}
    blocks = list(Folder(str(made), side=8, skip=True, **COUNTS).blocks(facts))
    assert facts["num_skipped"] == 3 and facts["num_images"] == {
        "train": 3,
        "validation": 2,
        "test": 2,
    }
    assert [line.split(":")[0] for line in facts["skipped"]] == ["g.png", "z.JPEG", "a.png"]
    assert sum(len(block.get("train", ())) for block in blocks) == 3
    assert "skipped 3 images" in capsys.readouterr().err


def test_a_split_without_a_usable_image_is_named(made):
    (made / "b.png").write_text("")
    (made / "list.txt").write_text("b.png\na.png\ne.png\n")
    folder = Folder(str(made), side=8, names="list.txt", num_validation=1, num_test=1, skip=True)
    with pytest.raises(ValueError, match="no image for test"):
        folder.load()


def test_the_stored_file_has_the_hash_of_its_pixels(made):
    """The hash is over bytes as decoded, and so the same for PNG files that pack them otherwise."""
    spec = made / "spec.json"
    parameters = {"path": str(made), "side": 8, **COUNTS}
    write_json(
        spec,
        {"root": str(made), "dataset": "mine", "plugin": "folder", "parameters": parameters},
    )
    prepare.main(str(spec))
    stored = made / "data" / "mine.safetensors"
    tensors, header = read_tensors(stored)
    order = SORTED[5:] + SORTED[3:5] + SORTED[:3]
    assert (
        header["pixels_sha256"]
        == hashlib.sha256(values_of(made, order).numpy().tobytes("C")).hexdigest()
    )
    assert header["num_skipped"] == 0
    loaded = Folder(**parameters).load()
    assert tensors.keys() == loaded.keys()
    assert all(tensors[name].equal(loaded[name]) for name in loaded)
    Image.open(made / "a.png").save(made / "a.png", compress_level=1)
    prepare.main(str(spec))
    assert read_tensors(stored)[1]["pixels_sha256"] == header["pixels_sha256"]
    picture(10).save(made / "a.png")
    prepare.main(str(spec))
    assert read_tensors(stored)[1]["pixels_sha256"] != header["pixels_sha256"]
    (made / "a.png").unlink()
    (made / "a.png").mkdir()
    write_json(
        spec,
        {
            "root": str(made),
            "dataset": "mine",
            "plugin": "folder",
            "parameters": {**parameters, "names": "x"},
        },
    )
    with pytest.raises(UserError, match="spec.json: there is no file .*/x"):
        prepare.main(str(spec))


def test_a_failed_job_leaves_no_file(made):
    damage(made)
    spec = made / "spec.json"
    parameters = {"path": str(made), "side": 8, **COUNTS}
    write_json(
        spec,
        {"root": str(made), "dataset": "mine", "plugin": "folder", "parameters": parameters},
    )
    with pytest.raises(UserError, match="cannot be decoded|expected 8 x 8"):
        prepare.main(str(spec))
    assert list((made / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"side": 0}, "folder: side must be a whole number"),
        ({"crop": "square"}, "crop must be one of none, centre, celeba-128, celeba-178"),
        ({"resize": "nearest"}, "resize must be one of none, box, bilinear, bicubic, lanczos"),
        ({"order": "both"}, "order must be one of"),
        ({"order": "resize-then-crop"}, "needs crop: centre and a filter"),
        ({"resize": "box", "antialias": False}, "antialias: false is for bilinear and bicubic"),
        ({"num_test": 0}, "num_test must be a count"),
        ({"limit": -1}, "limit must be a count"),
        ({"offset": -1}, "offset must be 0 or a count"),
    ],
)
def test_impossible_parameters_are_named(parameters, words):
    with pytest.raises(ValueError, match=words):
        Folder(**{"path": ".", "side": 8, **parameters})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"path": "nowhere"}, "there is no folder nowhere"),
        ({}, "there are 10 images, expected more than num_test .* = 200"),
        ({"limit": 5, **COUNTS}, "there are 5 images"),
        ({"split": "parts"}, "there is no file"),
        ({"names": "twice.txt"}, "1 names stand there twice"),
        ({"split": "wrong.txt"}, "line 'a.png learn': expected a name and one of 0, 1, 2, train"),
        ({"classes": True, **COUNTS}, "B.png lies in no folder"),
        (
            {"names": "absent.txt", "num_validation": 1, "num_test": 1},
            "nobody.png: there is no such file",
        ),
    ],
)
def test_mistakes_in_the_folder_are_named(made, parameters, words):
    (made / "twice.txt").write_text("a.png\na.png\n")
    (made / "wrong.txt").write_text("a.png learn\n")
    (made / "absent.txt").write_text("a.png\nb.png\nnobody.png\n")
    with pytest.raises(ValueError, match=words):
        Folder(**{"path": str(made), "side": 8, **parameters}).load()


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(ValueError, match="no PNG or JPEG below"):
        Folder(str(tmp_path), side=8).load()


def test_a_list_may_come_from_find_or_from_another_system(made):
    (made / "list.txt").write_bytes(b"\xef\xbb\xbf./g.png\r\n./deep/er/c.png\r\na.png\r\n")
    (made / "parts.txt").write_text("./g.png test\n./a.png,train\ndeep//er/c.png\tvalidation\n")
    listed = {"names": "list.txt", "split": "parts.txt"}
    names = names_in(Folder(str(made), side=8, **listed).load())
    assert names == {"test": ["g.png"], "validation": ["deep/er/c.png"], "train": ["a.png"]}


def test_names_in_a_split_may_hold_blanks_commas_and_quotes(made):
    for name in ("a, b.png", "c d.png"):
        picture(11).save(made / name)
    (made / "parts.csv").write_text('"a, b.png",0\nc d.png , 1\ne.png 2\n')
    names = names_in(
        Folder(str(made), side=8, split="parts.csv").load(), [*SORTED, "a, b.png", "c d.png"]
    )
    assert names == {"test": ["e.png"], "validation": ["c d.png"], "train": ["a, b.png"]}


def test_links_to_folders_are_followed_but_not_in_circles(made, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    picture(12).save(elsewhere / "i.png")
    (made / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(made)
    (made / "deep" / "up").symlink_to("..")
    found = set(names_below(made))
    assert found == {*SORTED, "linked/i.png", "notes.txt"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("a.png 0\na.png 2\n", "a.png stands there twice"),
        ("a.png 0\n./a.png 0\n", "a.png stands there twice"),
    ],
)
def test_an_image_is_in_one_split(made, lines, words):
    (made / "parts.txt").write_text(lines)
    with pytest.raises(ValueError, match=words):
        Folder(str(made), side=8, split="parts.txt").load()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a.png\n./a.png\n", "1 names stand there twice"),
        (b"../a.png\n", "does not lie in the folder"),
        (b"/etc/passwd\n", "does not lie in the folder"),
        (b"\xff.png\n", "is no text in UTF-8"),
    ],
)
def test_lists_that_cannot_be_meant_are_named(made, content, words):
    (made / "list.txt").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        Folder(str(made), side=8, names="list.txt", **COUNTS).load()


def test_a_pipe_is_not_waited_for(made):
    os.mkfifo(made / "A.png")
    with pytest.raises(ValueError, match="A.png: there is no such file"):
        Folder(str(made), side=8, **COUNTS).load()
