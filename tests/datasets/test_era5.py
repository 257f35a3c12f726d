"""Fields on latitudes and longitudes: files that the test writes, read and interpolated, and files that are refused."""

import sys

import numpy as np
import pytest
import torch
from scipy.io import netcdf_file

from bench.datasets._grids import read_grid
from bench.datasets.era5 import ERA5
from bench.numerics.icosphere import icosphere

STEP = 5.0
LATITUDES, LONGITUDES = np.arange(90, -91, -STEP), np.arange(0, 360, STEP)
SCALE, OFFSET = 0.001, 280.0  # of packed values


def temperatures(num_times):
    """280 + 10 (x + z cos t) + 2 y: smooth, and of every coordinate, (T, rows, columns)."""
    lat, lon = np.radians(LATITUDES)[:, None], np.radians(LONGITUDES)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon
    return np.stack([280 + 10 * (x + z * np.cos(t)) + 2 * y for t in range(num_times)])


def write(path, num_times=40, longitudes=LONGITUDES, names=("valid_time", "latitude", "longitude")):
    """Write a classic file as the Climate Data Store packs them: 16 bits, an offset, and the north first."""
    values = temperatures(num_times)[..., : len(longitudes)]
    with netcdf_file(path, "w") as file:
        for name, axis in zip(names, (np.arange(num_times), LATITUDES, longitudes), strict=True):
            file.createDimension(name, len(axis))
            file.createVariable(name, "f8", (name,))[:] = axis
        variable = file.createVariable("t2m", "i2", names)
        variable[:] = np.rint((values - OFFSET) / SCALE)
        variable.scale_factor, variable.add_offset = SCALE, OFFSET
    return path


def at_vertices(num_times):
    x, y, z = icosphere(162).vertices.T
    return np.stack([280 + 10 * (x + z * np.cos(t)) + 2 * y for t in range(num_times)])


# bilinear interpolation is off by h^2 / 8 times the second derivatives in both directions, 14 at most
ERROR = np.radians(STEP) ** 2 / 8 * 2 * 14 + SCALE


def test_a_classic_file_is_unpacked_and_interpolated(tmp_path):
    grid = read_grid(write(tmp_path / "a.nc"), "t2m")
    assert (np.diff(grid.latitudes) > 0).all() and grid.values.shape == (40, 37, 72)
    np.testing.assert_allclose(grid.at_vertices(162), at_vertices(40), atol=ERROR)


def test_a_file_in_hdf5_is_the_same(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    axes = {"valid_time": np.arange(40), "latitude": LATITUDES, "longitude": LONGITUDES}
    data = xarray.DataArray(temperatures(40), axes, list(axes), name="t2m")
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    grid = read_grid(tmp_path / "a.nc", "t2m")
    np.testing.assert_allclose(grid.at_vertices(162), at_vertices(40), atol=ERROR)


def test_fields_are_split_by_time_with_gaps(tmp_path):
    write(tmp_path / "1.nc", 40)
    write(tmp_path / "2.nc", 20)
    data = ERA5(str(tmp_path), "t2m", 260, 300, num_vertices=162, held_out=0.1, gap=3).load()
    train, validation, test = (data[f"{part}_id"] for part in ("train", "validation", "test"))
    assert train.tolist() == list(range(42)) and test.tolist() == list(range(54, 60))
    assert validation.tolist() == list(range(45, 51))  # 42 to 44 and 51 to 53 are in no split
    expected = np.concatenate([at_vertices(40), at_vertices(20)])
    for ids, part in ((train, "train"), (test, "test")):
        assert data[part].shape == (len(ids), 1, 162, 1) and data[part].dtype == torch.float32
        celsius = 280 + 20 * data[part][:, 0, :, 0].numpy()
        np.testing.assert_allclose(celsius, expected[ids.numpy()], atol=ERROR + 1e-4)


def rewrite(path, file, change):
    """Write a classic copy of a file's first field after `change(latitudes, longitudes, values)`; units of CF."""
    grid = read_grid(path, "t2m")
    latitudes, longitudes, values = change(grid.latitudes, grid.longitudes, grid.values[0])
    with netcdf_file(file, "w") as made:
        for name, axis, unit in (
            ("y", latitudes, "degrees_north"),
            ("X", longitudes, "degrees_east"),
        ):
            made.createDimension(name, len(axis))
            made.createVariable(name, "f8", (name,))[:] = axis
            made.variables[name].units = unit
        made.createVariable("t2m", "f8", ("y", "X"))[:] = values
    return file


SAME_FIELDS = {
    "west negative": lambda a, o, v: (a, np.where(o < 180, o, o - 360), v),
    "south first, east first": lambda a, o, v: (a[::-1], o[::-1], v[::-1, ::-1]),
    "first meridian twice": lambda a, o, v: (a, np.append(o, 360), np.hstack([v, v[:, :1]])),
    "dateline twice": lambda a, o, v: (
        a,
        np.append(o, 360) - 180,
        np.hstack([v[:, 36:], v[:, :37]]),
    ),
}


@pytest.mark.parametrize("change", SAME_FIELDS.values(), ids=SAME_FIELDS)
def test_the_same_field_in_another_order_is_the_same_at_the_vertices(tmp_path, change):
    path = write(tmp_path / "a.nc", 1)
    same = read_grid(rewrite(path, tmp_path / "b.nc", change), "t2m")
    np.testing.assert_allclose(
        same.at_vertices(162), read_grid(path, "t2m").at_vertices(162), atol=1e-9
    )


OTHER_FIELDS = {
    "latitudes are 0 to 90, expected rows up to both poles": lambda a, o, v: (a[18:], o, v[18:]),
    "two or more latitudes": lambda a, o, v: (a[:1], o, v[:1]),
    "all different": lambda a, o, v: (np.where(a == 5, 0, a), o, v),
    "longitudes do not go round": lambda a, o, v: (a, o / 2, v),
}


@pytest.mark.parametrize(("words", "change"), OTHER_FIELDS.items(), ids=OTHER_FIELDS)
def test_fields_of_a_part_of_the_sphere_are_refused(tmp_path, words, change):
    refused(rewrite(write(tmp_path / "a.nc", 1), tmp_path / "b.nc", change), words)


def test_a_file_without_the_values_of_an_axis_is_refused(tmp_path):
    with netcdf_file(tmp_path / "a.nc", "w") as file:
        for name, size in (("lat", 3), ("lon", 4)):
            file.createDimension(name, size)
        file.createVariable("t2m", "f4", ("lat", "lon"))[:] = 280.0
    refused(tmp_path / "a.nc", "has no values of lat and lon")


def refused(path, words, variable="t2m", **parameters):
    with pytest.raises(ValueError, match=words) as caught:
        ERA5(
            str(path), variable, **{"low": 260, "high": 300, "num_vertices": 42} | parameters
        ).load()
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used_are_refused_in_one_line(tmp_path):
    good = write(tmp_path / "a.nc")
    refused(good, "has no variable sst; there are latitude, longitude, t2m", "sst")
    refused(good, "expected latitude and longitude among them", "latitude")
    refused(good, r"t2m is in \[26\d.*expected \[270, 300\]", low=270)
    refused(good, "40 fields are too few", gap=18)
    refused(good, "low must be below high, got '200' and 300", low="200")
    refused(good, r"held_out must be in \(0, 0.5\), got 'tenth'", held_out="tenth")
    refused(tmp_path / "b.nc", "neither a NetCDF file nor a folder")
    half = write(tmp_path / "half.nc", longitudes=LONGITUDES[:36])
    refused(half, "do not go round the whole sphere")
    (tmp_path / "text.nc").write_text("no data")
    refused(tmp_path / "text.nc", "is no NetCDF file")
    (tmp_path / "cut.nc").write_bytes(good.read_bytes()[:2000])
    refused(tmp_path / "cut.nc", "cut.nc: cannot be read")
    damaged = good.read_bytes().replace(b"latitude\0\0\0\x0c", b"latitude\0\0\0\xff", 1)
    (tmp_path / "cut.nc").write_bytes(damaged[:12] + b"\0\0\0\x08" + damaged[16:])
    refused(tmp_path / "cut.nc", "cut.nc: cannot be read")


def test_a_file_in_hdf5_gives_advice_on_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    needs = r"^[^(]*a.nc: a NetCDF file in HDF5 needs .*pip install 'posterior-bench\[climate\]'$"
    refused(tmp_path / "a.nc", needs)
