"""Make the pictures of one measurement: which values are clipped, and on which scale they are shown.

A signal on an icosphere is shown as the sphere looks from far away; its far side is not in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from bench.core.results import REFERENCE_DRAWS, SampleSet
from bench.numerics.icosphere import icosphere, is_sphere

UNMEASURED = "#b9cfe6"
SPREAD = "viridis"
NEARLY_AN_IMAGE = 1.3  # largest value of an image with noise of 0.1
SIDE_OF_SPHERE = 56  # pixels along the picture of a sphere


@dataclass(frozen=True)
class Picture:
    """A picture: `image` (c, h, w) in data units, NaN where nothing was measured; row 0 has measurement and truth.

    outside: (h, w) bool, the pixels around a sphere, where the image is NaN, too; None for an image.
    """

    source: str
    row: int
    kind: str
    image: np.ndarray
    outside: np.ndarray | None = None

    @property
    def window(self) -> tuple[float, float]:
        """Return the values of black and white, for all kinds but std; values beyond them are clipped.

        Images are shown on [-1, 1]. So is a measurement in colour or on a sphere whose values are close to that range:
        stretched, its noise would look like other colours. Any other measurement is shown from its 1st to its 98th
        percentile, so that the few large values of a Fourier amplitude do not leave the rest black.
        """
        if self.kind != "y":
            return -1.0, 1.0
        low, high = (
            np.nanpercentile(self.image, (1, 98)) if np.isfinite(self.image).any() else (0.0, 1.0)
        )
        like_an_image = len(self.image) == 3 or self.outside is not None
        if like_an_image and max(-low, high) <= NEARLY_AN_IMAGE:
            return -1.0, 1.0
        return float(low), float(high if high > low else low + 1)

    @property
    def class_shown(self) -> int | None:
        """Return the class if the measurement is a one-hot vector (one row of zeros and a single 1), else None."""
        is_strip = self.kind == "y" and self.image.shape[:2] == (1, 1)
        return (
            int(self.image.argmax())
            if is_strip and sorted(self.image.ravel())[-2:] == [0, 1]
            else None
        )


def pictures(
    i: int, seen: dict[str, np.ndarray], sample_sets: Sequence[SampleSet], num_samples: int
) -> list[Picture]:
    """Return all pictures of measurement `i`, without those of sources that have no samples of it.

    seen: x_true (m, *x), y (m, *y) and, where there is one, mask or picture.
    """
    outside = _outside(seen["x_true"][i].shape)
    truth = Picture("truth", 0, "x_true", _image(seen["x_true"][i]), outside)
    y = _measurement(i, seen)
    shown = [Picture("measurement", 0, "y", y, _outside(seen["y"][i].shape)), truth]
    for row, source in enumerate(sample_sets, start=1):
        if source.why_not(i):
            continue
        x = source.x[i].astype(np.float64)
        spread = x.std(0, ddof=1) if len(x) > 1 else np.zeros_like(x[0])
        images = dict(zip(sample_kinds(num_samples), x, strict=False)) | {
            "mean": x.mean(0),
            "std": spread,
        }
        shown += [
            Picture(source.name, row, kind, _image(image), outside)
            for kind, image in images.items()
        ]
    return shown


def sample_kinds(num_samples: int) -> tuple[str, ...]:
    return tuple(f"sample {j}" for j in range(num_samples))


def largest_spread(shown: Sequence[Picture]) -> float:
    """Return the upper end of the scale, from 0, that all standard deviations of a measurement share.

    It is at most twice the largest of the reference draws, so that a row that diverged does not leave the others dark.
    """
    spreads = [(p.source, float(np.nanmax(p.image.mean(0)))) for p in shown if p.kind == "std"]
    largest = max((spread for _, spread in spreads), default=0.0)
    exact = max((spread for source, spread in spreads if source == REFERENCE_DRAWS), default=0.0)
    return min(largest, 2 * exact or largest) or 1.0


def levels(picture: Picture, spread: float) -> np.ndarray:
    """Return (1, h, w), or (3, h, w) for colours, from 0 (dark) to 1 (bright), NaN where nothing was measured."""
    if picture.kind == "std":
        return np.clip(picture.image.mean(0, keepdims=True) / spread, 0, 1)
    low, high = picture.window
    bright = np.clip((picture.image - low) / (high - low), 0, 1)
    return bright if len(bright) == 3 else bright.mean(0, keepdims=True)


def coloured(picture: Picture, spread: float) -> np.ndarray:
    """Return RGB (h, w, 3); pixels around a sphere are white."""
    colours = _colours(picture, spread)
    return colours if picture.outside is None else np.where(picture.outside[..., None], 1, colours)


def _colours(picture: Picture, spread: float) -> np.ndarray:
    bright = levels(picture, spread)
    if len(bright) == 3:
        hidden = np.logical_and.reduce(np.isnan(bright), axis=0)[..., None]
        return np.where(hidden, to_rgb(UNMEASURED), np.moveaxis(np.nan_to_num(bright), 0, -1))
    scale = (
        colormaps[SPREAD]
        if picture.kind == "std"
        else colormaps["gray"].with_extremes(bad=UNMEASURED)
    )
    return scale(np.ma.masked_invalid(bright[0]))[..., :3]


def _measurement(i: int, seen: dict[str, np.ndarray]) -> np.ndarray:
    if "picture" in seen:  # the operator draws one, since y itself is not an image
        return _image(seen["picture"][i])
    y = _image(seen["y"][i])
    if "mask" in seen:
        y[np.broadcast_to(_image(seen["mask"][i]), y.shape) == 0] = np.nan
    return y


def _image(x: np.ndarray) -> np.ndarray:
    """Return an image (c, h, w); a plane or a vector gets the axes that it lacks, a sphere is seen from VIEW."""
    if not is_sphere(x.shape):
        return np.array(x, np.float64).reshape((1,) * (3 - x.ndim) + x.shape)
    vertices = _vertices_seen(x.shape[1])
    return np.where(vertices >= 0, x[:, vertices, 0].astype(np.float64), np.nan)


def num_pixels(x: np.ndarray) -> int:
    """Return how many numbers the picture of an image or a signal has."""
    return SIDE_OF_SPHERE**2 if is_sphere(x.shape) else x.size


def _outside(shape: tuple[int, ...]) -> np.ndarray | None:
    """Return which pixels lie around the sphere, (h, w) bool; None unless `shape` is that of signals on a sphere."""
    return _vertices_seen(shape[1]) < 0 if is_sphere(shape) else None


@cache
def _vertices_seen(num_vertices: int) -> np.ndarray:
    return icosphere(num_vertices).pixels(SIDE_OF_SPHERE)
