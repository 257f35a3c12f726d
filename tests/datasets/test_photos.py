"""`photos`: no held-out crop shares a pixel of a photograph with a training crop, and values are as documented."""

import numpy as np
import pytest
import torch
from PIL import Image

from bench.datasets import photos
from bench.datasets.photos import PHOTOGRAPHS, Photos, pixels

SCALES = (2.5, 3, 4, 6)
HELD_OUT = ("validation", "test")


@pytest.fixture(scope="module")
def data():
    return Photos().load()


def photograph_and_scale(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return ids // 1_000_000 // 4, ids // 1_000_000 % 4


def shown(ids: torch.Tensor, height: int) -> np.ndarray:
    """Return the pixels that lie wholly under crops with these ids: left, top, right, bottom (n, 4)."""
    corner = np.stack([ids % 1000, ids // 1000 % 1000], 1)
    scale = photograph_and_scale(ids)[1].numpy()
    return np.concatenate([corner, corner + np.floor(height / np.array(SCALES)[scale])[:, None]], 1)


def painted(rectangles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for left, top, right, bottom in rectangles.astype(int):
        mask[top:bottom, left:right] = True
    return mask


def masks(data: dict, parts: tuple[str, ...]) -> list[np.ndarray]:
    """Return the pixels under all crops of some splits, for each photograph, from the ids alone."""
    ids = torch.cat([data[f"{part}_id"] for part in parts])
    number = photograph_and_scale(ids)[0]
    sizes = [pixels(one).shape[:2] for one in PHOTOGRAPHS]
    return [painted(shown(ids[number == i], size[0]), size) for i, size in enumerate(sizes)]


def test_no_held_out_crop_lies_on_pixels_of_a_training_crop(data):
    for train, held_out in zip(masks(data, ("train",)), masks(data, HELD_OUT), strict=True):
        assert train.mean() > 0.4 and held_out.mean() > 0.25
        assert not (train & held_out).any()


def test_no_test_crop_lies_on_pixels_of_a_validation_crop(data):
    for test, validation in zip(masks(data, ("test",)), masks(data, ("validation",)), strict=True):
        assert not (test & validation).any()


@pytest.mark.parametrize("side", [32, 64])
def test_pixels_of_one_split_never_reach_crops_of_another(side, monkeypatch):
    """Invert the pixels under the crops of some splits: theirs change, and no bit of the others'."""
    before = Photos(side=side, num_train=3000).load()
    for parts, others in ((HELD_OUT, ("train",)), (("train", "validation"), ("test",))):
        only_here = [
            mask & ~other
            for mask, other in zip(masks(before, parts), masks(before, others), strict=True)
        ]
        inverted = {
            one: pixels(one) ^ np.uint8(255) * mask[..., None]
            for one, mask in zip(PHOTOGRAPHS, only_here, strict=True)
        }
        with monkeypatch.context() as patch:
            patch.setattr(photos, "pixels", inverted.__getitem__)
            after = Photos(side=side, num_train=3000).load()
        assert all(after[part].equal(before[part]) for part in others)
        for part in parts:
            assert (after[part] != before[part]).flatten(1).any(1).all()


def test_ids_and_labels_encode_photograph_and_scale(data):
    for part, num in (("train", 20_000), ("validation", 1000), ("test", 1000)):
        number, scale = photograph_and_scale(data[f"{part}_id"])
        assert data[part].shape == (num, 3, 32, 32) and len(data[f"{part}_id"].unique()) == num
        assert number.equal(data[f"{part}_label"])
        assert number.bincount().min() > 0.12 * num and scale.bincount().min() > 0.23 * num
        first = data[f"{part}_id"][:28] // 1_000_000
        assert first.sort().values.tolist() == list(range(28))  # one of each kind


def test_a_crop_is_at_the_place_of_its_id(data):
    """Cut the pixels that an id names out of the photograph and scale them: the same, but for the noise of a step."""
    for i in range(56):
        x, image_id = data["test"][i], data["test_id"][i : i + 1]
        one = PHOTOGRAPHS[int(photograph_and_scale(image_id)[0])]
        image = Image.fromarray(pixels(one))
        left, top, right, bottom = shown(image_id, image.height)[0]
        small = image.crop((left, top, right, bottom)).resize((32, 32), Image.Resampling.BICUBIC)
        other = torch.from_numpy(np.asarray(small) / 127.5 - 1).permute(2, 0, 1)
        inner = (x - other)[:, 4:-4, 4:-4]
        assert inner.square().mean().sqrt() < 0.5 * (other - other.mean()).square().mean().sqrt()


def test_values_are_those_of_the_256_steps_with_noise_inside(data):
    steps = 128 * (data["test"].double() + 1)
    inside = (steps - steps.floor()).flatten()
    assert steps.min() >= 0 and steps.max() < 256
    # 3 million uniform remainders: their mean has a standard deviation of 1.7e-4; five of them
    assert abs(inside.mean() - 0.5) < 8.5e-4


def test_fewer_training_crops_are_the_first_ones(data):
    few = Photos(num_train=100).load()
    assert few["train"].equal(data["train"][:100]) and few["test"].equal(data["test"])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"side": 48}, "side must be 32 or 64, got 48"),
        ({"num_train": 0}, "num_train must be a count"),
    ],
)
def test_impossible_parameters_are_named(parameters, words):
    with pytest.raises(ValueError, match=words):
        Photos(**parameters)


def test_more_crops_than_there_are_is_one_line():
    with pytest.raises(ValueError, match="num_train is 10000000, there are [0-9]+ crops"):
        Photos(num_train=10_000_000).load()


def test_another_picture_in_the_package_is_refused():
    other = PHOTOGRAPHS[0]._replace(sha256="0" * 64)
    with pytest.raises(ValueError, match="astronaut.png of scikit-image: its pixels have sha256"):
        pixels(other)
    with pytest.raises(ValueError, match="is not installed; pip install scikit-image"):
        pixels(PHOTOGRAPHS[0]._replace(file="data/nobody.png"))
