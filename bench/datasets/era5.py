"""`era5`: fields of NetCDF files on latitudes and longitudes, such as those of ERA5, at the vertices of an icosphere.

H. Hersbach et al.: The ERA5 global reanalysis, https://doi.org/10.1002/qj.3803. The user requests its files from the
Climate Data Store, under its licence; they are not fetched here. Any other file with the same axes can be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.core.values import is_count, is_positive, require
from bench.datasets._grids import read_grid
from bench.numerics.icosphere import NUM_VERTICES

__all__ = ["ERA5"]


@dataclass(frozen=True)
class ERA5:
    """Fields (1, num_vertices, 1); a value v is x = 2 (v - low) / (high - low) - 1. An id is the field's number.

    Time is cut into three blocks, the last ones for validation and testing, with `gap` fields left out between them,
    since the fields of two successive days are nearly equal.
    """

    path: str  # a NetCDF file, or a folder of files *.nc, in the order of their names
    variable: str  # name of the variable in the files, such as t2m
    low: float  # value that becomes -1, in the file's units; values below are refused
    high: float  # value that becomes 1; values above are refused
    num_vertices: int = 642  # 42, 162, 642 or 2562
    held_out: float = 0.1  # share of the fields for validation, and the same for testing
    gap: int = 5  # number of fields left out between two blocks

    side: ClassVar[int] = 1  # a signal has one column of vertices

    def __post_init__(self) -> None:
        require(
            self.num_vertices in NUM_VERTICES,
            f"era5: num_vertices must be one of {NUM_VERTICES}, got {self.num_vertices!r}",
        )
        numbers = all(isinstance(value, (int, float)) for value in (self.low, self.high))
        require(
            numbers and self.low < self.high,
            f"era5: low must be below high, got {self.low!r} and {self.high!r}",
        )
        require(
            is_positive(self.held_out) and self.held_out < 0.5,
            f"era5: held_out must be in (0, 0.5), got {self.held_out!r}",
        )
        require(
            self.gap == 0 or is_count(self.gap), f"era5: gap must be 0 or a count, got {self.gap!r}"
        )

    @staticmethod
    def tiny(folder: Path) -> dict[str, object]:
        """Write a small file into a folder; return the parameters that read it. For tests."""
        from scipy.io import netcdf_file

        axes = {
            "time": np.arange(60),
            "latitude": np.arange(90, -91, -15),
            "longitude": np.arange(0, 360, 15),
        }
        time, latitude, longitude = np.meshgrid(*axes.values(), indexing="ij")
        waves = np.cos(np.radians(longitude - 6 * time)) * np.cos(np.radians(latitude))
        with netcdf_file(folder / "tiny.nc", "w") as file:
            for name, values in axes.items():
                file.createDimension(name, len(values))
                file.createVariable(name, "f8", (name,))[:] = values
            file.createVariable("t2m", "f4", tuple(axes))[:] = 280 + 20 * waves
        return {
            "path": str(folder / "tiny.nc"),
            "variable": "t2m",
            "low": 240.0,
            "high": 320.0,
            "num_vertices": 42,
        }

    def load(self) -> dict[str, Tensor]:
        """Return the fields of each split and their ids."""
        files = self.files()
        grids = (read_grid(file, self.variable) for file in files)
        values = np.concatenate([grid.at_vertices(self.num_vertices) for grid in grids])
        low, high = values.min(), values.max()  # NaN if a value is missing
        require(
            self.low <= low <= high <= self.high,
            f"era5: {self.variable} is in [{low:.6g}, {high:.6g}], expected [{self.low:g}, {self.high:g}] without "
            "missing values; change low and high, or take another variable",
        )
        x = torch.from_numpy(2 * (values - self.low) / (self.high - self.low) - 1).float()
        return {
            name: tensor
            for part, rows in self.blocks_of_time(len(x)).items()
            for name, tensor in ((part, x[rows, None, :, None]), (f"{part}_id", rows))
        }

    def files(self) -> list[Path]:
        """Return the files in their order; raise ValueError if there is none."""
        path = Path(self.path).expanduser()
        files = sorted(path.glob("*.nc")) if path.is_dir() else [path] if path.is_file() else []
        require(bool(files), f"era5: {path} is neither a NetCDF file nor a folder with files *.nc")
        return files

    def blocks_of_time(self, num_fields: int) -> dict[str, Tensor]:
        """Return the numbers of the fields of each split; raise ValueError if a split would be empty."""
        held_out = round(self.held_out * num_fields)
        num_train = num_fields - 2 * (held_out + self.gap)
        require(
            held_out > 0 and num_train > 0,
            f"era5: {num_fields} fields are too few for held_out = {self.held_out} and gap = {self.gap}",
        )
        starts = {"train": 0, "validation": num_train + self.gap, "test": num_fields - held_out}
        sizes = {"train": num_train, "validation": held_out, "test": held_out}
        return {part: start + torch.arange(sizes[part]) for part, start in starts.items()}
