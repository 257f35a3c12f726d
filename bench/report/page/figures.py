"""The figures on the page: their pictures, captions and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.markers import MarkerStyle
from PIL import Image

from bench.figures.style import INK, STAR, looks
from bench.report.page.attachments import Attachment, attached, data_url, existing
from bench.stats.results import REFERENCE

CAPTIONS = {
    "distance": "Sliced Wasserstein-2 distance between the samples of each method and exact posterior draws, mean and "
    "99 % interval over measurements. Grey band: what a second set of exact draws reaches, the floor.",
    "fidelity-diversity": "Error of the posterior mean (down is better) against diversity over that of the exact "
    "posterior. The star is the exact posterior: left of it samples are too much alike, right of it they spread "
    "too far, above it their mean is off.",
    "calibration": "Share of exact posterior draws inside the central interval of a method's samples, against its "
    "nominal level. Below the diagonal a method is too sure of itself, above it too cautious.",
    "tarp": "TARP expected coverage: share of measurements where at most so many of the samples are nearer to a "
    "reference point than x_true. Grey band: where a calibrated sampler is at 99 % of such sets of measurements, level by level. "
    "Above it samples spread too far, below it too little. The exact posterior (dashed) leaves it where the prior is "
    "not the law of the images.",
    "sbc": "Simulation-based calibration: distribution of the rank of x_true among the samples by data misfit, in the "
    "band of a calibrated sampler, as above. Above the band samples are off the data, below it they fit them too well.",
    "collapse": "Coverage of 90 % intervals against diversity over that of the exact posterior: a small marker for "
    "each task, a large one for their mean (geometric of the ratios). The star is the exact posterior. Methods trained "
    "by reverse KL tend to the shaded corner, where samples are too much alike and intervals too narrow. Not shown: "
    "unconditional, and what is n/a.",
    "amortisation": "Seconds of training and sampling together against the number of measurements, with the suite's "
    "number of samples for each. Circles: break-even points between a method that is trained once and one that is "
    "not; above each panel those of each trained method, from the first to the last; the csv lists the pairs. Seconds "
    "are those of the jobs, on one thread and beside other jobs: a rough figure, no timing. Oracle and unconditional "
    "are left out.",
    "cost": "Distance to the exact posterior against rows through the prior's network per sample, forward and backward; "
    "the csv has seconds beside them. Dashed: the floor. Down and to the left is better. Training is not in it: see "
    "amortisation.",
    "cost-seconds": "The same against seconds per sample: those of the clock where it has timed the run alone on the "
    "machine, and else of the jobs, which ran beside other jobs: a rough figure.",
    "ranks": "Critical-difference diagrams: rank of each method on each task by its mean (or the distance of its mean "
    "from the value to hit), averaged over the tasks where all ranked methods ran; who failed anywhere on a task is "
    "last there. Whiskers: 95 % interval over tasks, none where all agree. A bar on the right joins methods whose mean "
    "ranks differ by no more than the critical difference (5 % over all pairs): these are not told apart.",
}
CLOCK = {
    "clock": "Left: seconds of one call for one measurement, alone on the machine, against the number of samples that it "
    "draws; dotted, on the right axis, how many of a chain's samples are effectively independent: the diagonal is all "
    "of them. Right: the seconds against the effective number. Bands: quartiles of the repeats, over all visits.",
}
GRID_CAPTION = (
    "The first measurements of the task: what was measured (blue: not observed), the truth, then three samples, their "
    "mean and their pixelwise standard deviation for exact posterior draws and each method. Standard deviations share "
    "one colour scale per measurement. Images are grey on [-1, 1], the measurement on its own range."
)


@dataclass(frozen=True)
class Figure:
    """A figure as the page shows it; `image` is a data URL of `width` x `height` pixels."""

    stem: str
    caption: str
    image: str
    width: int
    height: int
    csv: Attachment


@dataclass(frozen=True)
class Mark:
    """Colour and outline of a marker, `x,y x,y ...` within about [-0.7, 0.7], y down."""

    colour: str
    outline: str


def read_figure(folder: Path, stem: str) -> Figure:
    """Return the figure `<stem>.png` with `<stem>.csv`; ArtefactError, one line, when one of them is missing."""
    image = existing(folder / f"{stem}.png")
    with Image.open(image) as opened:
        width, height = opened.size
    return Figure(
        stem,
        caption_of(stem),
        data_url("image/png", image.read_bytes()),
        width,
        height,
        attached(folder / f"{stem}.csv"),
    )


def caption_of(stem: str) -> str:
    """Return the caption of the figure's plug-in; of `grid-<task>` that of the plug-in `grid`."""
    return GRID_CAPTION if stem.startswith("grid-") else (CAPTIONS | CLOCK).get(stem, "")


def marks(methods: Sequence[str]) -> dict[str, Mark]:
    """Return the marker of each method as the figures have it, and of the exact posterior, which is a star there."""
    of_methods = {method: _mark(look.marker, look.colour) for method, look in looks(methods).items()}
    return of_methods | {REFERENCE: _mark(STAR["marker"], INK)}


def _mark(marker: str, colour: str) -> Mark:
    """Return the outline of one of matplotlib's markers."""
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform()).to_polygons()[0]
    return Mark(colour, " ".join(f"{x:.2f},{-y:.2f}" for x, y in np.asarray(outline)))
