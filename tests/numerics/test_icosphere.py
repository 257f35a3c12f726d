"""Icospheres against the unit sphere: areas, the spectrum l (l + 1) of its Laplacian, and views from outside."""

import numpy as np
import pytest

from bench.numerics.icosphere import (
    NUM_VERTICES,
    VIEW,
    direction,
    icosphere,
    is_sphere,
    places,
)


@pytest.mark.parametrize("num_vertices", NUM_VERTICES)
def test_triangles_close_a_sphere_of_unit_vectors(num_vertices):
    sphere = icosphere(num_vertices)
    vertices, triangles = sphere.vertices, sphere.triangles
    assert len(vertices) == num_vertices and len(triangles) == 2 * num_vertices - 4  # Euler
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    edges = {(a, b) for row in triangles for a, b in zip(row, np.roll(row, -1), strict=True)}
    # each edge has two triangles, which pass along it in opposite directions
    assert len(edges) == 3 * len(triangles) and edges == {(b, a) for a, b in edges}
    a, b, c = (vertices[corner] for corner in triangles.T)
    assert ((np.cross(b - a, c - a) * a).sum(1) > 0).all()  # seen from outside, counterclockwise
    assert sphere.areas.sum() == pytest.approx(1) and sphere.areas.min() > 0.5 / num_vertices


def test_eigenvalues_are_l_times_l_plus_1_up_to_the_square_of_an_edge():
    largest = 8
    degrees = np.repeat(np.arange(largest + 1), 2 * np.arange(largest + 1) + 1)
    exact, errors = degrees * (degrees + 1), []
    for num_vertices in (642, 2562):
        values = icosphere(num_vertices).eigenfunctions(len(exact))[0]
        assert abs(values[0]) < 1e-9  # constants
        # linear elements with lumped areas are off by about value h^2 / 12, flat triangles by h^2 / 6; h^2 is the area
        # of a triangle times 4 / sqrt(3)
        edge_squared = 4 * np.pi / (2 * num_vertices - 4) * 4 / np.sqrt(3)
        relative = np.abs(values[1:] / exact[1:] - 1)
        assert (relative < (exact[1:] + 2) * edge_squared / 12).all()
        errors.append(relative.max())
    # half the edge, a quarter of the error
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


def test_eigenfunctions_are_orthonormal_over_the_surface_and_begin_with_harmonics():
    sphere = icosphere(642)
    functions = sphere.eigenfunctions(16)[1]
    gram = functions.T @ (sphere.areas[:, None] * functions)
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-8)
    np.testing.assert_allclose(functions[:, 0], 1, atol=1e-8)
    for axis in sphere.vertices.T:  # the harmonics of degree 1 are x, y and z
        parts = functions[:, 1:4].T @ (sphere.areas * axis)
        assert (parts**2).sum() == pytest.approx((sphere.areas * axis**2).sum(), rel=1e-4)


def test_eigenfunctions_are_the_same_at_each_call():
    first, again = (icosphere(162).eigenfunctions(25)[1] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_view_has_the_vertex_below_the_eye_in_its_middle_and_none_around_the_sphere():
    sphere, pixels = icosphere(2562), icosphere(2562).pixels(65)
    assert sphere.vertices[pixels[32, 32]] @ direction(*VIEW) > np.cos(np.radians(2.5))
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == -1).all()
    assert (pixels >= 0).mean() == pytest.approx(np.pi / 4, abs=0.02)
    latitudes, longitudes = places(2562)
    # east is to the right
    assert longitudes[pixels[32, 50]] > 10 > -10 > longitudes[pixels[32, 14]]
    assert latitudes[pixels[14, 32]] > 40 > 0 > latitudes[pixels[50, 32]]  # north is up


def test_only_sizes_of_icospheres_are_known():
    assert is_sphere((1, 642, 1)) and is_sphere((3, 42, 1))
    assert not any(map(is_sphere, [(1, 8, 8), (1, 641, 1), (1, 1, 642), (642,)]))
    with pytest.raises(ValueError, match="num_vertices is 100: expected one of 42, 162"):
        icosphere(100)
