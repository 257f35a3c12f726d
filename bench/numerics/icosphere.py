"""Triangulated spheres: vertices, areas, eigenfunctions of the Laplace-Beltrami operator, and pictures.

An icosahedron whose triangles were divided into four k times has 10 4^k + 2 vertices on the unit sphere. A signal on it
is a tensor (c, V, 1), one number per vertex and channel, and so can be used like an image (c, h, w). Coordinates: x
points to longitude 0 on the equator, y to 90 degrees east, z to the north pole. All arrays are numpy's, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NUM_VERTICES = (42, 162, 642, 2562)  # one to four divisions
VIEW = (20.0, 0.0)  # latitude and longitude below the eye, degrees
SHIFT = -0.1  # of eigenvalues in the search for the smallest, so that the matrix has an inverse


@dataclass(frozen=True, eq=False)
class Icosphere:
    """Vertices (V, 3) on the unit sphere, and triangles (F, 3) of their numbers."""

    vertices: Array
    triangles: NDArray[np.int64]

    @cached_property
    def areas(self) -> Array:
        """Return the share of the surface that belongs to each vertex, a third of its triangles; sums to 1, (V,)."""
        a, b, c = (self.vertices[corner] for corner in self.triangles.T)
        of_triangles = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        shares = np.bincount(self.triangles.ravel(), np.repeat(of_triangles, 3))
        return shares / shares.sum()

    @cached_property
    def stiffness(self):
        """Return the cotangent matrix of the Laplace-Beltrami operator, sparse (V, V), positive semi-definite.

        Pinkall and Polthier 1993, https://doi.org/10.1080/10586458.1993.10504266
        """
        from scipy.sparse import coo_matrix

        size, rows, columns, values = len(self.vertices), [], [], []
        for i in range(3):
            corner, left, right = (self.triangles[:, (i + k) % 3] for k in range(3))
            u, v = (self.vertices[end] - self.vertices[corner] for end in (left, right))
            cotangent = (u * v).sum(1) / np.linalg.norm(np.cross(u, v), axis=1) / 2
            rows += [left, right, left, right]
            columns += [right, left, left, right]
            values += [-cotangent, -cotangent, cotangent, cotangent]
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return coo_matrix(entries, (size, size)).tocsc()

    def eigenfunctions(self, num: int) -> tuple[Array, Array]:
        """Return the `num` smallest eigenvalues (num,) and their functions at the vertices, (V, num).

        They solve L f = value M f with the cotangent matrix L and the areas M, which sum to that of the unit sphere. On
        the sphere itself the values are l (l + 1), each 2 l + 1 times. The functions have a mean square of 1 over the
        surface; those of one degree l are an arbitrary basis.
        """
        from scipy.sparse import diags
        from scipy.sparse.linalg import eigsh

        mass = diags(4 * np.pi * self.areas, format="csc")
        start = np.cos(np.arange(len(self.vertices)))  # fixed, in place of scipy's random one
        values, functions = eigsh(self.stiffness, num, mass, sigma=SHIFT, v0=start)
        order = values.argsort()
        functions = functions[:, order] * np.sqrt(4 * np.pi)
        largest = np.abs(functions).argmax(0)
        return values[order], functions * np.sign(functions[largest, np.arange(num)])

    def pixels(self, num_pixels: int) -> NDArray[np.int64]:
        """Return the vertex that each pixel of a view from far above VIEW shows, (num_pixels, num_pixels); -1: none."""
        from scipy.spatial import KDTree

        across = (2 * np.arange(num_pixels) + 1) / num_pixels - 1
        right, up = np.meshgrid(across, -across)
        depth = 1 - right**2 - up**2
        latitude, longitude = VIEW
        eye = direction(latitude, longitude)
        axes = np.stack([direction(0, longitude + 90), direction(latitude + 90, longitude), eye])
        points = np.stack([right, up, np.sqrt(depth.clip(0))], -1) @ axes
        return np.where(depth > 0, KDTree(self.vertices).query(points)[1], -1)


@cache
def icosphere(num_vertices: int) -> Icosphere:
    """Return the icosphere with that number of vertices; ValueError where there is none."""
    if num_vertices not in NUM_VERTICES:
        known = ", ".join(map(str, NUM_VERTICES))
        raise ValueError(f"num_vertices is {num_vertices!r}: expected one of {known}")
    vertices, triangles = icosahedron()
    while len(vertices) < num_vertices:
        vertices, triangles = divided(vertices, triangles)
    return Icosphere(vertices, triangles)


def icosahedron() -> tuple[Array, NDArray[np.int64]]:
    """Return the 12 vertices of an icosahedron, unit vectors, and its 20 triangles, counterclockwise from outside."""
    from scipy.spatial import ConvexHull

    golden = (1 + 5**0.5) / 2
    signs = [(a, b) for a in (-1, 1) for b in (-golden, golden)]
    corners = np.array([np.roll([0, a, b], shift) for shift in range(3) for a, b in signs])
    vertices = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    triangles = np.sort(ConvexHull(vertices).simplices.astype(np.int64), 1)
    triangles = triangles[np.lexsort(triangles.T[::-1])]
    a, b, c = (vertices[corner] for corner in triangles.T)
    inside = (np.cross(b - a, c - a) * a).sum(1) < 0
    triangles[inside] = triangles[inside][:, [0, 2, 1]]
    return vertices, triangles


def divided(vertices: Array, triangles: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Return the sphere with each triangle cut into four at the middles of its edges, old vertices first."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs, which = np.unique(np.sort(edges, 1), axis=0, return_inverse=True)
    middles = vertices[pairs].sum(1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    ab, bc, ca = (which.ravel() + len(vertices)).reshape(3, -1)
    a, b, c = triangles.T
    quarters = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    parts = [np.stack(quarter, 1) for quarter in quarters]
    return np.concatenate([vertices, middles]), np.concatenate(parts)


def direction(latitude: float, longitude: float) -> Array:
    """Return the unit vector to a place in degrees, (3,)."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def places(num_vertices: int) -> tuple[Array, Array]:
    """Return latitudes in [-90, 90] and longitudes in [-180, 180] of the vertices, in degrees, (V,) each."""
    x, y, z = icosphere(num_vertices).vertices.T
    return np.degrees(np.arcsin(z.clip(-1, 1))), np.degrees(np.arctan2(y, x))


def is_sphere(shape: tuple[int, ...]) -> bool:
    """Return whether signals of a shape (c, V, 1) are on an icosphere."""
    return len(shape) == 3 and shape[2] == 1 and shape[1] in NUM_VERTICES
