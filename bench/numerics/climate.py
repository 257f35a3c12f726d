"""A climate whose law is known: four seasons, each a Gaussian random field on the sphere, over land and sea.

Temperatures are scaled to lie in [-1, 1]. The mean of a season is a zonal field plus a yearly swing, which is wide over
land, and narrow and late over the sea. Deviations from the mean are correlated like an isotropic field whose power
falls with the degree l as (l + 1)^-3; they are stronger over land and in the winter hemisphere. All arrays are numpy's,
float64.
"""

from __future__ import annotations

import numpy as np

from bench.numerics.icosphere import Array, direction, icosphere

SEASONS = ("winter", "spring", "summer", "autumn")  # of the northern hemisphere, equally likely
# latitude, longitude and angular radius of round continents, degrees
CONTINENTS = (
    (45.0, -100.0, 24.0),
    (-15.0, -60.0, 20.0),
    (5.0, 15.0, 24.0),
    (50.0, 75.0, 34.0),
    (-25.0, 135.0, 14.0),
    (-90.0, 0.0, 20.0),
)
COAST = 4.0  # degrees over which land becomes sea
LAG = 45.0  # degrees of the year by which the sea is late
LARGEST_DEGREE, FALL = 15, 3.0  # of the spectrum: the last degree, and minus the exponent
SEA, LAND = 0.06, 0.1  # standard deviations of the field
WINTER = 0.3  # share by which the deviation in winter exceeds the mean one
LOCAL = 0.02  # standard deviation of the part that is independent at each vertex


def land_of(num_vertices: int) -> Array:
    """Return the share of land at each vertex, between 0 and 1, (V,)."""
    vertices = icosphere(num_vertices).vertices
    depths = [
        radius - np.degrees(np.arccos((vertices @ direction(lat, lon)).clip(-1, 1)))
        for lat, lon, radius in CONTINENTS
    ]
    return 1 / (1 + np.exp(-4 * np.max(depths, axis=0) / COAST))


def means(num_vertices: int) -> Array:
    """Return the mean field of each season, (4, V)."""
    height, land = icosphere(num_vertices).vertices[:, 2], land_of(num_vertices)
    angles = np.radians(90.0 * np.arange(len(SEASONS)))[:, None]
    swing = -0.25 * land * np.cos(angles) - 0.1 * (1 - land) * np.cos(angles - np.radians(LAG))
    return 0.25 - 0.5 * height**2 + height * swing


def covariances(num_vertices: int) -> Array:
    """Return the covariance of each season's field, (4, V, V).

    Correlations follow from the addition theorem: they are the sum over degrees l of power_l P_l(cosine of the angle),
    with powers that sum to 1.
    """
    vertices, land = icosphere(num_vertices).vertices, land_of(num_vertices)
    degrees = np.arange(LARGEST_DEGREE + 1)
    power = np.where(degrees > 0, (2 * degrees + 1) * (degrees + 1.0) ** -FALL, 0)
    cosines = (vertices @ vertices.T).clip(-1, 1)
    correlation = np.polynomial.legendre.legval(cosines, power / power.sum())
    winter = np.array([1, 0, -1, 0])[:, None] * vertices[:, 2]
    deviation = (SEA + (LAND - SEA) * land) * (1 + WINTER * winter)
    field = deviation[:, :, None] * deviation[:, None] * correlation
    return field + LOCAL**2 * np.eye(num_vertices)
