"""All pictures of a task in one lossless WebP, with the numbers that belong to them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image

from bench.core.artefacts import Json
from bench.core.results import REFERENCE, REFERENCE_DRAWS, SampleSet, TaskSamples
from bench.core.text import three_digits
from bench.figures._pictures import (
    SPREAD,
    UNMEASURED,
    Picture,
    coloured,
    largest_spread,
    levels,
    num_pixels,
    pictures,
    sample_kinds,
)
from bench.report.front.references import NONE, reference_mode
from bench.report.page.attachments import data_url
from bench.report.tables import DISTANCE
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.samples import task_samples
from bench.stats.scores import of_metric

# palette: greys, then one more of the colours for standard deviations, then the colour of what was not measured
_GREYS = 127
_COLOURS = np.array([
    *([g / (_GREYS - 1)] * 3 for g in range(_GREYS)),
    *colormaps[SPREAD](np.linspace(0, 1, _GREYS + 1))[:, :3],
    to_rgb(UNMEASURED),
])  # fmt: skip

LEAST = 6  # pictures of a row: mean, std and four samples, before there are more measurements
Distances = Mapping[tuple[str, int], float]  # by name of the samples and measurement


@dataclass(frozen=True)
class Room:
    """How much of a task the gallery shows: samples of a method and measurement, measurements, pixels in all."""

    samples: int = 10
    measurements: int = 16
    pixels: int = 700_000


FULL, COMPACT = Room(), Room(samples=4, measurements=3, pixels=130_000)
MOST_SAMPLES, MOST_PIXELS = FULL.samples, FULL.pixels


def samples_of(suite: SuiteResults, task: TaskResults) -> TaskSamples:
    """Return the samples of a task, of the runs with the suite's first seed, and its reference draws if there are any.

    Published rows have numbers but no samples.
    """
    seed = suite.seeds[0]
    methods = [run.method for run in task.runs if run.seed == seed and not run.is_published]
    shown = task_samples(suite.root, task.name, methods, seed)
    if reference_mode(task) != NONE:
        return shown
    return TaskSamples(shown.task, shown.measured, shown.sample_sets[1:])


def gallery(suite: SuiteResults, task: TaskResults, shown: TaskSamples, room: Room = FULL) -> Json:
    """Return sprite and numbers of a task, as gallery.js reads them."""
    return gallery_of(shown.measured, shown.sample_sets, _distances(suite, task), room)


def gallery_of(
    measured: Mapping[str, np.ndarray],
    samples: Sequence[SampleSet],
    distances: Distances,
    room: Room = FULL,
) -> Json:
    """Return the same from arrays: `measured` has x_true (m, *x), y (m, *y) and possibly mask (m, *x).

    The sprite (`image`, a data URL) has a band for each measurement: at its top y and right of it the truth, then a row
    for each set of samples: mean, std, samples. `x` and `y` are (h, w) of their pictures, `top` is the height of the
    first row.
    """
    num_measurements, num_samples, num_drawn = _sizes(measured, samples, room)
    bands = [pictures(i, dict(measured), samples, num_samples) for i in range(num_measurements)]
    y, x = (picture.image.shape[1:] for picture in bands[0][:2])
    return {
        "image": _sprite(bands, len(samples), num_samples),
        "x": x,
        "y": y,
        "top": max(x[0], y[0]),
        "sources": [each.name for each in samples],
        "num_samples": num_samples,
        "num_drawn": num_drawn,
        "measurements": [_facts(i, band, samples, distances) for i, band in enumerate(bands)],
    }


def _sizes(
    measured: Mapping[str, np.ndarray], samples: Sequence[SampleSet], room: Room
) -> tuple[int, int, int]:
    """Return how many measurements and samples of each the sprite has room for, and how many samples were drawn."""
    num_shown = num_pixels(measured["x_true"][0]) * len(samples)
    most = min(len(measured["x_true"]), room.measurements)
    num_measurements = min(most, max(1, room.pixels // (LEAST * num_shown)))
    num_drawn = max(each.x.shape[1] for each in samples[1:] or samples)
    affordable = room.pixels // (num_measurements * num_shown) - 2  # mean and std
    return num_measurements, max(1, min(room.samples, affordable, num_drawn)), num_drawn


def _facts(
    i: int, band: Sequence[Picture], samples: Sequence[SampleSet], distances: Distances
) -> Json:
    """Return the numbers shown beside the pictures of measurement i.

    `rows` has for each set of samples the reason why it is not shown, or its distance and the share that is clipped.
    """
    rows = []
    for each in samples:
        if reason := each.why_not(i):
            rows.append({"reason": reason})
            continue
        value = distances.get((each.name, i))
        clipped = round(float((np.abs(each.x[i]) > 1).mean()), 4)
        rows.append({"distance": "" if value is None else three_digits(value), "clipped": clipped})
    y = band[0]
    return {
        "class": y.class_shown,
        "window": y.window,
        "spread": largest_spread(band),
        "rows": rows,
    }


def _sprite(bands: Sequence[Sequence[Picture]], num_rows: int, num_samples: int) -> str:
    """Return the data URL of all pictures; colours where one has three channels, else the palette."""
    (y_height, y_width), (height, width) = (picture.image.shape[1:] for picture in bands[0][:2])
    top = max(y_height, height)
    band_height = top + num_rows * height
    lefts = {"y": 0, "x_true": y_width}
    lefts |= {kind: c * width for c, kind in enumerate(("mean", "std", *sample_kinds(num_samples)))}
    has_colours = any(len(picture.image) == 3 for picture in bands[0])
    size = len(bands) * band_height, max(y_width + width, (num_samples + 2) * width)
    sheet = np.zeros((*size, 3) if has_colours else size, np.uint8)
    for i, band in enumerate(bands):
        spread = largest_spread(band)
        for picture in band:
            down = i * band_height + (top + (picture.row - 1) * height if picture.row else 0)
            (h, w), left = picture.image.shape[1:], lefts[picture.kind]
            sheet[down : down + h, left : left + w] = (
                np.rint(255 * coloured(picture, spread))
                if has_colours
                else _indices(picture, spread)
            )
    return _webp(sheet)


def _indices(picture: Picture, spread: float) -> np.ndarray:
    """Return places in the palette (h, w)."""
    values = levels(picture, spread)[0]
    first, last = (_GREYS, _GREYS) if picture.kind == "std" else (0, _GREYS - 1)
    unmeasured = len(_COLOURS) - 1
    places = np.where(np.isnan(values), unmeasured, first + np.rint(np.nan_to_num(values) * last))
    if picture.outside is not None:
        places[picture.outside] = _GREYS - 1  # white beside a sphere
    return places.astype(np.uint8)


def _webp(sheet: np.ndarray) -> str:
    image = Image.fromarray(sheet)
    if sheet.ndim == 2:
        image.putpalette(np.uint8(np.rint(255 * _COLOURS)).tobytes())
    return webp_url(image.convert("RGB"))


def webp_url(image: Image.Image) -> str:
    """Return the data URL of a lossless picture."""
    data = io.BytesIO()
    image.save(data, "webp", lossless=True, quality=80, method=4, exact=True)
    return data_url("image/webp", data.getvalue())


def _distances(suite: SuiteResults, task: TaskResults) -> dict[tuple[str, int], float]:
    """Return the distances of the runs with the first seed; the reference draws have the floor."""
    distances = {}
    for score in of_metric(task.scores, DISTANCE):
        is_first = score.method == REFERENCE or score.seed == suite.seeds[0]
        if is_first and score.value is not None:
            distances[
                REFERENCE_DRAWS if score.method == REFERENCE else score.method, score.measurement
            ] = score.value
    return distances
