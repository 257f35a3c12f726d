"""The distribution of the climate: differences of its seasons, correlations and spectrum in closed form."""

import numpy as np
import pytest

from bench.numerics.climate import (
    LAND,
    LOCAL,
    SEA,
    covariances,
    land_of,
    means,
)
from bench.numerics.icosphere import icosphere, places


def test_a_third_of_the_sphere_is_land():
    sphere = icosphere(2562)
    assert 0.2 < sphere.areas @ land_of(2562) < 0.4


def test_land_is_colder_in_winter_and_the_sea_late():
    winter, spring, summer, autumn = means(642)
    north, land = places(642)[0] > 30, land_of(642)
    assert (winter < summer)[north].all()
    swing = (summer - winter)[north] / icosphere(642).vertices[north, 2]
    assert swing[land[north] > 0.9].min() > 2 * swing[land[north] < 0.1].max()
    # between winter and summer the land is the same, the sea is warmer after summer than before
    np.testing.assert_allclose(spring[land > 0.99], autumn[land > 0.99], atol=0.02)
    assert (autumn - spring)[north & (land < 0.1)].min() > 0.05


def test_variances_are_those_of_land_and_sea_in_the_season():
    deviations = np.sqrt(covariances(642).diagonal(0, 1, 2) - LOCAL**2)
    equator, land = np.abs(icosphere(642).vertices[:, 2]) < 0.05, land_of(642)
    np.testing.assert_allclose(
        deviations[:, equator], np.broadcast_to(SEA + (LAND - SEA) * land[equator], (4, equator.sum())), rtol=0.02
    )  # fmt: skip
    north = places(642)[0] > 30
    assert (deviations[0] > deviations[2])[north].all()  # stronger in winter


def test_covariances_are_positive_definite_and_power_falls_with_the_degree():
    matrices = covariances(642)
    assert np.linalg.eigvalsh(matrices).min() == pytest.approx(LOCAL**2, rel=1e-3)
    sphere = icosphere(642)
    functions = sphere.eigenfunctions(64)[1] * sphere.areas[:, None]
    spring = matrices[1]  # without a winter hemisphere
    powers = (functions * (spring @ functions)).sum(0)
    degrees = np.repeat(np.arange(8), 2 * np.arange(8) + 1)
    of_degree = np.array([powers[degrees == degree].mean() for degree in range(1, 8)])
    assert (np.diff(of_degree) < 0).all() and of_degree[0] > 20 * of_degree[-1]
