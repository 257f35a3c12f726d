"""`sphere`: signals on an icosphere, one number per vertex: digits or garments drawn on it, or fields of a climate.

The fields of the climate are drawn from a mixture of Gaussian random fields (bench/numerics/climate.py), which is the
prior `climate` in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from bench.core.rng import stream
from bench.core.values import require
from bench.numerics.climate import SEASONS, covariances, means
from bench.numerics.icosphere import NUM_VERTICES, icosphere

__all__ = ["Sphere"]

WIDTH = 120.0  # degrees of longitude and of latitude that a drawn image covers, around (0, 0)
NUM_FIELDS = {"train": 2000, "validation": 200, "test": 300}
PARTS = tuple(NUM_FIELDS)


@dataclass(frozen=True)
class Sphere:
    """Signals (1, num_vertices, 1) in [-1, 1]; the label is that of the image, or the season.

    An image lies around the point of longitude 0 on the equator, north up, with true distances along great circles
    from there; elsewhere the signal is -1, the background. Ids, splits and noise within the steps of grey are those of
    `digits` and `fashion`. A field that leaves [-1, 1], about one in some thousands, is drawn again.
    """

    content: Literal["digits", "garments", "climate"] = "digits"  # the kind of signals
    num_vertices: int = 642  # 42, 162, 642 or 2562
    path: str = ""  # folder with the files of `fashion`, for garments

    side: ClassVar[int] = 1  # a signal has one column of vertices
    tiny: ClassVar[Mapping[str, object]] = {"num_vertices": 42}  # for tests

    def __post_init__(self) -> None:
        require(
            self.num_vertices in NUM_VERTICES,
            f"sphere: num_vertices must be one of {NUM_VERTICES}, got {self.num_vertices!r}",
        )
        known = ("digits", "garments", "climate")
        require(
            self.content in known,
            f"sphere: content must be one of {', '.join(known)}, got {self.content!r}",
        )
        require(
            bool(self.path) == (self.content == "garments"),
            "sphere: garments need the path of the files of `fashion`, and nothing else has one",
        )

    def load(self) -> dict[str, Tensor]:
        """Return the signals of each split, their ids and labels."""
        if self.content == "climate":
            return fields(self.num_vertices)
        data = self.images()
        return data | {part: drawn_on_sphere(data[part], self.num_vertices) for part in PARTS}

    def images(self) -> dict[str, Tensor]:
        """Return the images (N, 1, side, side) that are to be drawn, with ids and labels."""
        if self.content == "digits":
            from bench.datasets.digits import Digits

            return Digits().load()
        from bench.datasets.fashion import Fashion

        return Fashion(self.path, num_train=20_000).load()


def drawn_on_sphere(images: Tensor, num_vertices: int) -> Tensor:
    """Return signals (N, 1, V, 1) of images (N, 1, side, side) in [-1, 1], interpolated bilinearly at the vertices.

    Pixels that are closer together than the vertices are averaged first.
    """
    spacing = np.degrees(np.sqrt(4 * np.pi / num_vertices))
    factor = max(1, round(images.shape[-1] * spacing / WIDTH))
    small = torch.nn.functional.avg_pool2d(images, factor)
    x, y, z = icosphere(num_vertices).vertices.T
    # polar coordinates around (0, 0): the angle to it, and the direction in which the vertex lies
    angle, bearing = np.degrees(np.arccos(x.clip(-1, 1))), np.arctan2(-z, y)
    plane = np.stack([np.cos(bearing), np.sin(bearing)], 1) * (angle / (WIDTH / 2))[:, None]
    grid = torch.from_numpy(plane).to(images)[None, :, None].expand(len(images), -1, -1, -1)
    # grid_sample gives 0 outside the image, so that the background is shifted to 0
    drawn = torch.nn.functional.grid_sample(small + 1, grid, align_corners=False) - 1
    return drawn.clamp(-1, 1)  # against rounding


def fields(num_vertices: int) -> dict[str, Tensor]:
    """Return fields of the climate, each of a random season and from its own random stream."""
    mean, roots = means(num_vertices), np.linalg.cholesky(covariances(num_vertices))

    def field(i: int) -> tuple[np.ndarray, int]:
        random = stream("sphere", "climate", i)
        while True:
            season = int(random.integers(len(SEASONS)))
            x = mean[season] + roots[season] @ random.standard_normal(num_vertices)
            if np.abs(x).max() <= 1:
                return x, season

    x, seasons = zip(*map(field, range(sum(NUM_FIELDS.values()))), strict=True)
    signals = torch.from_numpy(np.stack(x)).float()[:, None, :, None]
    sizes = list(NUM_FIELDS.values())
    tensors: dict[str, Tensor] = {}
    for name, values in (
        ("", signals),
        ("_id", torch.arange(len(signals))),
        ("_label", torch.tensor(seasons)),
    ):
        parts = zip(PARTS, values.split(sizes), strict=True)
        tensors |= {f"{part}{name}": rows for part, rows in parts}
    return tensors
