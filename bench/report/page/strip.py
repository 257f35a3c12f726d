"""The strip of pictures of the summary: measurement, true image, reference draws, the best and the worst method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bench.core.results import REFERENCE_DRAWS, Summary, TaskSamples
from bench.figures._pictures import Picture, coloured, largest_spread, pictures
from bench.report.front.standings import Front, Known
from bench.report.page.gallery import webp_url
from bench.stats.results import SuiteResults, TaskResults

SHOWN = 3  # samples of each set
LEAST_SIDE = 64  # CSS pixels of a picture


@dataclass(frozen=True)
class Tile:
    """Pictures side by side under one name; `image` is a data URL, `width` and `height` are CSS pixels."""

    name: str
    words: str
    image: str
    width: int
    height: int


@dataclass(frozen=True)
class Strip:
    """The pictures of a task's first measurement."""

    task: str
    tiles: tuple[Tile, ...]


def chosen_tasks(suite: SuiteResults, most: int = 3) -> tuple[TaskResults, ...]:
    """Return for each prior the task on which most methods ran; of these, at most `most` with the most methods."""
    best: dict[str, TaskResults] = {}
    for task in suite.tasks:
        prior = str(task.measurements.get("prior"))
        if prior not in best or len(task.left_out) < len(best[prior].left_out):
            best[prior] = task
    kept = sorted(best.values(), key=lambda task: len(task.left_out))[:most]
    return tuple(task for task in reversed(suite.tasks) if task in kept)


def strip_of(task: TaskResults, shown: TaskSamples, front: Front, known: Known) -> Strip:
    """Return the strip of a task; it has reference draws if there are any, and a worst method if there are several.

    Best and worst are among the methods that have samples, which published rows have not.
    """
    drawn = {each.name for each in shown.sample_sets}
    ranked = [method for method in ranked_on(task, front, known) if method in drawn]
    wanted = {REFERENCE_DRAWS: "reference draws"}
    if ranked:
        wanted[ranked[0]] = f"best: {ranked[0]}"
    if len(ranked) > 1:
        wanted[ranked[-1]] = f"worst: {ranked[-1]}"
    sets = [each for each in shown.sample_sets if each.name in wanted]
    sets.sort(key=lambda each: list(wanted).index(each.name))
    found = pictures(0, dict(shown.measured), sets, SHOWN)
    spread = largest_spread(found)
    tiles = []
    for name, words in (("measurement", "measurement y"), ("truth", "true image"), *wanted.items()):
        of_set = [x for x in found if x.source == name and x.kind not in ("mean", "std")]
        if of_set and of_set[0].class_shown is None:
            tiles.append(_tile(words, f"{task.name}, {words}", of_set, spread))
    return Strip(task.name, tuple(tiles))


def ranked_on(task: TaskResults, front: Front, known: Known) -> list[str]:
    """Return the methods that compete on a task, best first by the headline."""
    target = float(front.goal[1:]) if front.goal.startswith("=") else None
    losses: dict[str, float] = {}
    for row in front.methods:
        line: Summary | None = known.get((task.name, row.method, front.headline))
        if line and line.mean is not None and row.method not in task.unranked:
            mean = line.mean if target is None else abs(line.mean - target)
            losses[row.method] = -mean if front.goal == "up" else mean
    return sorted(losses, key=losses.__getitem__)


def _tile(name: str, words: str, of_set: Sequence[Picture], spread: float) -> Tile:
    images = [np.uint8(np.rint(255 * coloured(picture, spread))) for picture in of_set]
    height, width, _ = images[0].shape
    factor = max(1, round(LEAST_SIDE / max(height, width)))
    gap = max(1, round(4 / factor))
    sheet = Image.new("RGBA", (len(images) * (width + gap) - gap, height))
    for k, image in enumerate(images):
        sheet.paste(Image.fromarray(image), (k * (width + gap), 0))
    return Tile(name, words, webp_url(sheet), factor * sheet.width, factor * height)
