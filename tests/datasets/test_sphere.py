"""Signals of the data set `sphere`: the place of an image on it, and the distribution of the climate's fields."""

import numpy as np
import pytest
import torch

from bench.datasets.digits import Digits
from bench.datasets.sphere import PARTS, Sphere, drawn_on_sphere
from bench.numerics.climate import means
from bench.numerics.icosphere import places


@pytest.fixture(scope="module")
def climate():
    return Sphere("climate", 42).load()


def test_an_image_lies_around_longitude_0_on_the_equator_with_north_up():
    latitudes, longitudes = places(2562)
    image = torch.full((1, 1, 8, 8), -1.0)
    image[..., 1, 6] = (
        1.0  # second row from above, second column from the right: 37.5 degrees of 60 each
    )
    signal = drawn_on_sphere(image, 2562)[0, 0, :, 0].numpy() + 1
    assert signal.max() > 1.5
    # true distances from the middle: 37.5 sqrt(2) = 53 degrees to the north-east
    x, y, z = (np.average(axis, weights=signal) for axis in _vertices(2562).T)
    assert np.degrees(np.arccos(x / np.sqrt(x * x + y * y + z * z))) == pytest.approx(53, abs=1)
    assert y == pytest.approx(z, abs=0.01) and y > 0
    behind = np.abs(longitudes) > 100
    full = drawn_on_sphere(torch.ones(1, 1, 8, 8), 2562)[0, 0, :, 0].numpy()
    middle = (abs(latitudes) < 30) & (abs(longitudes) < 30)
    np.testing.assert_allclose(full[behind], -1)
    np.testing.assert_allclose(full[middle], 1, atol=1e-6)


def _vertices(num_vertices):
    from bench.numerics.icosphere import icosphere

    return icosphere(num_vertices).vertices


def test_digits_keep_their_ids_labels_and_splits():
    data, digits = Sphere(num_vertices=162).load(), Digits().load()
    for part in PARTS:
        assert data[part].shape == (len(digits[part]), 1, 162, 1)
        assert data[f"{part}_id"].equal(digits[f"{part}_id"])
        assert data[f"{part}_label"].equal(digits[f"{part}_label"])
    ids = torch.cat([data[f"{part}_id"] for part in PARTS])
    assert len(ids.unique()) == len(ids)


def test_garments_with_more_pixels_than_vertices_are_averaged_first():
    stripes = torch.ones(1, 1, 28, 28)
    stripes[..., ::2] = -1
    middle = np.abs(places(642)).max(0) < 40
    signal = drawn_on_sphere(stripes, 642)[0, 0, :, 0].numpy()
    assert np.abs(signal[middle]).max() < 1e-6  # 28 pixels, 15 vertices across: pairs are averaged


def test_fields_of_the_climate_have_seasons_and_no_field_is_in_two_splits(climate):
    signals = torch.cat([climate[part] for part in PARTS]).flatten(1)
    assert len(signals.unique(dim=0)) == len(signals) == 2500
    for season, mean in enumerate(means(42)):
        some = climate["train"][climate["train_label"] == season].flatten(1).double().numpy()
        assert 400 < len(some) < 600
        errors = (some.mean(0) - mean) / (some.std(0) / np.sqrt(len(some)))
        assert np.abs(errors).max() < 5  # 4 x 42 of them


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"num_vertices": 100}, "num_vertices must be one of"),
        ({"content": "fish"}, "content must be one of digits, garments, climate"),
        ({"content": "garments"}, "garments need the path"),
        ({"path": "somewhere"}, "nothing else has one"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(parameters, words):
    with pytest.raises(ValueError, match=words):
        Sphere(**parameters)
