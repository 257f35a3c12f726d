"""Operators on an icosphere: which vertices they hide, and how much of each degree a blur keeps."""

import numpy as np
import pytest
import torch

from bench.core.packed import mask_of
from bench.core.registry import build
from bench.core.rng import Rng
from bench.numerics.climate import land_of
from bench.numerics.icosphere import icosphere
from bench.problems.inverse_problem import InverseProblem

SHAPE = (1, 642, 1)


def masks(name, parameters):
    problem = InverseProblem(build("operator", name, parameters), 0.1, SHAPE)
    x = torch.zeros(3, *SHAPE, dtype=torch.float64)
    return mask_of(problem.simulate(x, Rng(("masks",), range(3))))[:, 0, :, 0].numpy()


def test_a_hemisphere_hides_half_of_the_surface_around_its_place():
    seen = masks("hemisphere", {"latitude": 90.0, "longitude": 0.0})[0]
    heights, areas = icosphere(642).vertices[:, 2], icosphere(642).areas
    assert (seen == (heights <= 1e-9)).all()
    assert areas @ seen == pytest.approx(0.5, abs=0.05)  # with the vertices on the equator


@pytest.mark.parametrize("on_land", [False, True])
def test_stations_are_as_many_as_asked_for_other_ones_each_time_and_on_land(on_land):
    seen = masks("stations", {"count": 30, "on_land": on_land})
    assert (seen.sum(1) == 30).all() and len(np.unique(seen, axis=0)) == 3
    at_sea = (seen * (land_of(642) <= 0.5)).sum()
    assert (at_sea == 0) == on_land


def test_a_blur_keeps_constants_and_damps_degrees_as_a_gaussian_does():
    blur, sphere = build("operator", "sphere_blur", {"std": 12.0}), icosphere(642)
    values, functions = sphere.eigenfunctions(36)
    x = torch.from_numpy(functions.T.copy())[:, None, :, None]
    damped = (blur(x)[:, 0, :, 0].numpy() * functions.T * sphere.areas).sum(1)
    assert damped[0] == pytest.approx(1, abs=1e-12)
    # heat after half the variance; the Gaussian of an angle is another kernel at second order in std^2 value
    expected = np.exp(-values * np.radians(12) ** 2 / 2)
    np.testing.assert_allclose(damped, expected, atol=0.03)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("hemisphere", {}), ("stations", {"count": 3}), ("sphere_blur", {"std": 10.0})],
)
def test_images_are_refused_in_one_line(name, parameters):
    with pytest.raises(ValueError, match=r"expected signals \(c, vertices, 1\) on an icosphere"):
        InverseProblem(build("operator", name, parameters), 0.1, (1, 8, 8))


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("hemisphere", {"latitude": 100.0}, "latitude must be within"),
        ("stations", {"count": 0}, "count must be a positive integer"),
        ("sphere_blur", {"std": 0.0}, "std must be positive"),
    ],
)
def test_wrong_parameters_are_refused(name, parameters, words):
    with pytest.raises(ValueError, match=words):
        build("operator", name, parameters)


def test_more_stations_than_land_has_vertices_are_refused():
    with pytest.raises(ValueError, match="count is 42, there are .* vertices on land"):
        build("operator", "stations", {"count": 42, "on_land": True}).measured_shape((1, 42, 1))
