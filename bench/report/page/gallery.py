"""All pictures of a task in one 8-bit PNG, with what a reader has to know to look at them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image

from bench.core.artefacts import Json
from bench.core.results import EXACT, REFERENCE, SampleSet
from bench.core.text import rounded
from bench.figures._pictures import (
    SPREAD,
    UNMEASURED,
    Picture,
    coloured,
    largest_spread,
    levels,
    pictures,
    sample_kinds,
)
from bench.report.page.attachments import data_url
from bench.report.tables import DISTANCE
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.samples import task_samples

MOST_SAMPLES, MOST_PIXELS = 10, 500_000  # of a method and measurement; of a task's PNG
_GREYS = 127  # palette: greys, as many and one more colours for standard deviations, what was not observed
_COLOURS = np.array([
    *([g / (_GREYS - 1)] * 3 for g in range(_GREYS)),
    *colormaps[SPREAD](np.linspace(0, 1, _GREYS + 1))[:, :3],
    to_rgb(UNMEASURED),
])  # fmt: skip


def gallery(suite: SuiteResults, task: TaskResults) -> Json:
    """Sprite and numbers of a task, as gallery.js reads them.

    The sprite (`image`, a data URL) has a band for each measurement: at its top y and right of it the truth, then a row
    for each source: mean, std, samples. `x` and `y` are (h, w) of their pictures, `top` is the height of the first row.
    """
    methods = [found.method for found in task.runs if found.seed == suite.seeds[0]]
    samples = task_samples(suite.root, task.name, methods, suite.seeds[0])
    return of_pictures(samples.measured, samples.sample_sets, _distances(suite, task))


def of_pictures(
    seen: Mapping[str, np.ndarray], found: Sequence[SampleSet], distances: Mapping[tuple[str, int], float]
) -> Json:
    """The same from arrays: `seen` as in `pictures`, `distances` by name of the source and measurement."""
    num_pixels = seen["x_true"][0].size * len(found)
    num_measurements = min(len(seen["x_true"]), max(1, MOST_PIXELS // (3 * num_pixels)))
    num_drawn = max(source.x.shape[1] for source in found[1:] or found)
    affordable = MOST_PIXELS // (num_measurements * num_pixels) - 2  # mean and std
    num_samples = max(1, min(MOST_SAMPLES, affordable, num_drawn))
    shown = [pictures(i, dict(seen), found, num_samples) for i in range(num_measurements)]
    y, x = (picture.image.shape[1:] for picture in shown[0][:2])
    return {
        "image": _sprite(shown, len(found), num_samples),
        "x": x,
        "y": y,
        "top": max(x[0], y[0]),
        "sources": [source.name for source in found],
        "num_samples": num_samples,
        "num_drawn": num_drawn,
        "measurements": [_about(i, of_one, found, distances) for i, of_one in enumerate(shown)],
    }


def _about(
    i: int, shown: Sequence[Picture], found: Sequence[SampleSet], distances: Mapping[tuple[str, int], float]
) -> Json:
    """`rows` has for each source a reason why it is not shown, or its distance and the share of what is clipped."""
    rows = []
    for source in found:
        value = distances.get((source.name, i))
        distance = "" if value is None else rounded(value, None, None)[0]
        reason = source.why_not(i)
        rows.append({"reason": reason} if reason else {"distance": distance, "clipped": _clipped(source.x[i])})
    y = shown[0]
    return {"class": y.class_shown, "window": y.window, "spread": largest_spread(shown), "rows": rows}


def _clipped(x: np.ndarray) -> float:
    return round(float((np.abs(x) > 1).mean()), 4)


def _sprite(shown: Sequence[Sequence[Picture]], num_sources: int, num_samples: int) -> str:
    (y_height, y_width), (height, width) = (picture.image.shape[1:] for picture in shown[0][:2])
    top = max(y_height, height)
    band = top + num_sources * height
    size = len(shown) * band, max(y_width + width, (num_samples + 2) * width)
    lefts = {"y": 0, "x_true": y_width}
    lefts |= {kind: c * width for c, kind in enumerate(("mean", "std", *sample_kinds(num_samples)))}
    has_colours = any(len(picture.image) == 3 for picture in shown[0])
    sheet = np.zeros((*size, 3) if has_colours else size, np.uint8)
    for i, of_one in enumerate(shown):
        spread = largest_spread(of_one)
        for picture in of_one:
            down = i * band + (top + (picture.row - 1) * height if picture.row else 0)
            h, w = picture.image.shape[1:]
            drawn = np.uint8(np.rint(255 * coloured(picture, spread))) if has_colours else _indices(picture, spread)
            sheet[down : down + h, lefts[picture.kind] : lefts[picture.kind] + w] = drawn
    return _png(sheet)


def _indices(picture: Picture, spread: float) -> np.ndarray:
    """Places in the palette (h, w)."""
    found = levels(picture, spread)[0]
    first, last = (_GREYS, _GREYS) if picture.kind == "std" else (0, _GREYS - 1)
    unobserved = len(_COLOURS) - 1
    return np.uint8(np.where(np.isnan(found), unobserved, first + np.rint(np.nan_to_num(found) * last)))


def _png(sheet: np.ndarray) -> str:
    image = Image.fromarray(sheet)
    if sheet.ndim == 2:
        image.putpalette(np.uint8(np.rint(255 * _COLOURS)).tobytes())
    data = io.BytesIO()
    image.save(data, "png", optimize=True)
    return data_url("image/png", data.getvalue())


def _distances(suite: SuiteResults, task: TaskResults) -> dict[tuple[str, int], float]:
    """Of the first seed; exact draws have what the reference has, the floor."""
    return {
        (EXACT if score.method == REFERENCE else score.method, score.measurement): score.value
        for score in task.scores
        if score.metric == DISTANCE and score.value is not None
        if score.method == REFERENCE or score.seed == suite.seeds[0]
    }
