"""Read fields on latitudes and longitudes from NetCDF files, and interpolate them at the vertices of an icosphere.

Classic files (NetCDF 3) are read by scipy, files in HDF5 (NetCDF 4, in which ERA5 is distributed now) by xarray with
h5netcdf, which `pip install 'posterior-bench[climate]'` installs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.core.values import require
from bench.numerics.icosphere import Array, places

# names of axes in lower case, and units of the CF conventions
LATITUDES, LONGITUDES = (
    ("latitude", "lat", "degrees_north", "degree_north", "degrees_n", "degree_n"),
    ("longitude", "lon", "degrees_east", "degree_east", "degrees_e", "degree_e"),
)
MAGIC = {b"CDF": "classic", b"\x89HD": "hdf5"}  # the first three bytes of a file


class Unread(ValueError):
    """A file that is not damaged cannot be read: it has no variable of that name, or a library is missing."""


class Raw(NamedTuple):
    """A variable as stored: names of its axes, values, and coordinates and units by axis."""

    axes: Sequence[str]
    values: np.ndarray
    coordinates: dict[str, np.ndarray]
    units: dict[str, str]

    def axis(self, known: Sequence[str]) -> str:
        """Return the axis whose name or unit is in `known`; "" if there is none."""
        named = (axis for axis in self.axes if axis.lower() in known)
        measured = (axis for axis in self.axes if self.units.get(axis, "").lower() in known)
        return next(named, "") or next(measured, "")


@dataclass(frozen=True)
class Grid:
    """Fields (T, rows, columns) at rising latitudes and longitudes in degrees."""

    latitudes: Array
    longitudes: Array
    values: Array

    def at_vertices(self, num_vertices: int) -> Array:
        """Return the fields at the vertices, (T, V), bilinear in degrees and constant beyond the first and last row."""
        from scipy.interpolate import RegularGridInterpolator

        latitudes, longitudes = places(num_vertices)
        # longitudes are periodic: the first column is repeated behind the last one
        columns = np.append(self.longitudes, self.longitudes[0] + 360)
        values = np.concatenate([self.values, self.values[:, :, :1]], 2)
        where = np.stack([
            latitudes.clip(self.latitudes[0], self.latitudes[-1]),
            (longitudes - columns[0]) % 360 + columns[0],
        ], 1)  # fmt: skip
        grid = (self.latitudes, columns)
        return RegularGridInterpolator(grid, np.moveaxis(values, 0, -1))(where).T


def read_grid(path: Path, variable: str) -> Grid:
    """Return the fields of a variable in a file, in the file's order; raise ValueError, one line, if that fails."""
    with path.open("rb") as file:
        kind = MAGIC.get(file.read(3))
    require(kind is not None, f"{path}: is no NetCDF file")
    try:
        raw = _classic(path, variable) if kind == "classic" else _hdf5(path, variable)
    except Unread:
        raise
    except Exception as error:  # readers of damaged files raise errors of all kinds
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path}: cannot be read ({what}); copy it again") from None
    return _grid_of(raw, f"{path}: {variable}")


def _grid_of(raw: Raw, what: str) -> Grid:
    """Return the fields with rising latitudes and longitudes; all other axes are joined into the first."""
    rows, columns = raw.axis(LATITUDES), raw.axis(LONGITUDES)
    require(
        bool(rows and columns),
        f"{what}: has the axes {', '.join(raw.axes)}; expected latitude and longitude among them",
    )
    missing = [axis for axis in (rows, columns) if axis not in raw.coordinates]
    require(not missing, f"{what}: the file has no values of {' and '.join(missing)}")
    places_of_axes = [raw.axes.index(axis) for axis in (rows, columns)]
    values = np.moveaxis(raw.values, places_of_axes, (-2, -1)).astype(np.float64)
    values = values.reshape(-1, *values.shape[-2:])
    latitudes, longitudes = (raw.coordinates[axis].astype(np.float64) for axis in (rows, columns))
    up, right = latitudes.argsort(), longitudes.argsort()
    if len(right) > 1 and np.isclose(longitudes[right[-1]] - longitudes[right[0]], 360):
        right = right[:-1]  # the first meridian is repeated at the end
    latitudes, longitudes = latitudes[up], longitudes[right]
    _refuse_gaps(latitudes, longitudes, what)
    return Grid(latitudes, longitudes, values[:, up][:, :, right])


def _refuse_gaps(latitudes: Array, longitudes: Array, what: str) -> None:
    """Raise ValueError, one line, unless latitudes and longitudes, each sorted, cover the whole sphere."""
    rows, columns = np.diff(latitudes), np.diff(longitudes)
    rise = len(rows) and len(columns) and (rows > 0).all() and (columns > 0).all()  # False with NaN
    require(bool(rise), f"{what}: expected two or more latitudes and longitudes, all different")
    whole = np.isclose(longitudes[-1] + columns.mean() - 360, longitudes[0], atol=0.1)
    require(bool(whole), f"{what}: its longitudes do not go round the whole sphere")
    south, north = latitudes[0] - 1.01 * rows.max(), latitudes[-1] + 1.01 * rows.max()
    require(
        south <= -90 and north >= 90 and np.abs(latitudes).max() <= 90.01,
        f"{what}: its latitudes are {latitudes[0]:g} to {latitudes[-1]:g}, expected rows up to both poles",
    )


def _classic(path: Path, variable: str) -> Raw:
    from scipy.io import netcdf_file

    with netcdf_file(path, mmap=False, maskandscale=True) as file:
        found = _known(file.variables, variable, path)
        values = np.ma.filled(np.ma.asarray(found[:]).astype(np.float64), np.nan)
        axes = tuple(found.dimensions)
        known = {axis: file.variables[axis] for axis in axes if axis in file.variables}
        coordinates = {axis: np.array(held[:]) for axis, held in known.items()}
        units = {axis: _text(getattr(held, "units", "")) for axis, held in known.items()}
    return Raw(axes, values, coordinates, units)


def _hdf5(path: Path, variable: str) -> Raw:
    try:
        import h5netcdf  # noqa: F401 (xarray opens the file by it)
        import xarray
    except ImportError:
        raise Unread(
            f"{path}: a NetCDF file in HDF5 needs xarray and h5netcdf; pip install 'posterior-bench[climate]'"
        ) from None
    with xarray.open_dataset(path, engine="h5netcdf", decode_times=False) as file:
        found = _known(file.variables, variable, path)
        axes = tuple(map(str, found.dims))
        known = [axis for axis in axes if axis in file.variables]
        coordinates = {axis: file[axis].to_numpy() for axis in known}
        units = {axis: _text(file[axis].attrs.get("units", "")) for axis in known}
        return Raw(axes, found.to_numpy(), coordinates, units)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _known(variables, name: str, path: Path):
    if name not in variables:
        known = ", ".join(map(str, sorted(variables)))
        raise Unread(f"{path}: has no variable {name}; there are {known}")
    return variables[name]
