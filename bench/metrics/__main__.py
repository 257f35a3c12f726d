"""`python -m bench.metrics > docs/reference/columns.md`: all columns of all metrics, with their definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.core.catalogue import EXTRACTORS, PERCEPTUAL
from bench.core.metric import Column, Metric
from bench.core.registry import INSTALLED, PACKAGES, find, names
from bench.metrics import BUILT_IN
from bench.metrics._diagnosis import COLUMNS
from bench.metrics._evaluation import open_metric

PARAMETERS = {
    "class_frechet": {"extractors": ("digits-convnet-v1",)},
    "perceptual": {"networks": (*PERCEPTUAL, "percept-photos-v1")},
    "sets": {"extractors": (*EXTRACTORS, "photos-convnet-v1")},
    "ssim": {"windows": (0.5, 1.5)},
}
WHERE = {"ssim": "in every suite; `ssim-g1.5_...` where a suite asks for that window"}
HEAD = """# Columns

Made by `python -m bench.metrics` from the files in `bench/metrics/`. *better*: the direction, or the value that a
perfect sampler has in expectation; columns without one (-) describe samples, and what aims at 1 is their ratio to that
of exact draws. *needs*: what a task must have; where it has not, the cell says why. *of*: a value for each measurement,
or one for the task. Columns of sets have the number of images in their name, here 1024 samples. Any data set may stand
in the place of `photos` in `percept-photos-v1` and `photos-convnet-v1` ([weights.md](../weights.md)).

Methods that return a point estimate have the columns that a single image has, and `n/a (point estimate)` in all others:
"""
TABLE = "| column | definition | better | unit | needs | of |\n|---|---|---|---|---|---|"
DIAGNOSES = """## What a method says of itself

Of methods that have `diagnose`, where a task has one; computed from their paths or particles, not from their samples
"""


def page() -> str:
    """Return docs/reference/columns.md: a section for each metric, built-in ones first."""
    ours = INSTALLED.joinpath(*PACKAGES["metric"].split("."))
    own = [
        name
        for name in names("metric")
        if (file := find("metric", name)) and file.resolve().is_relative_to(ours)
    ]
    order = (*BUILT_IN, *sorted(set(own) - set(BUILT_IN)))
    sections = [line for name in order for line in _section(name)]
    return "\n".join(
        [f"{HEAD}{_of_points(order)}.\n", *sections, DIAGNOSES, TABLE, *map(_row, COLUMNS), ""]
    )


def _of_points(order: Iterable[str]) -> str:
    """Return the columns that point estimates have, of the metrics in their order."""
    opened = (open_metric(name, PARAMETERS.get(name, {})) for name in order)
    columns = (column for metric in opened for column in metric.columns(None))
    return ",\n".join(f"`{column.id}`" for column in columns if column.of_point)


def _section(name: str) -> Iterator[str]:
    metric: Metric = open_metric(name, PARAMETERS.get(name, {}))
    where = WHERE.get(name, "in every suite" if name in BUILT_IN else "where a suite names it")
    first_paragraph = " ".join((type(metric).__doc__ or "").split("\n\n")[0].split()).rstrip(".")
    yield f"## {name}\n\n{first_paragraph} ({where})\n"
    yield TABLE
    yield from map(_row, metric.columns(None))
    yield ""


def _row(x: Column) -> str:
    better = "-" if x.better is None else x.better
    cells = (f"`{x.id}`", x.definition, better, x.unit, x.needs or "-", x.extent)
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(page(), end="")
