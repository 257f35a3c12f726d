"""The report: one HTML file with tables and figures inside, readable without a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.artefacts import ArtefactError
from bench.report.beside import NO_PAIR, RULE, Beside
from bench.report.markup import goal_text
from bench.report.results import Suite
from bench.report.tables import Table

CAPTIONS = {
    "distance": "Sliced Wasserstein-2 distance between the samples of each method and exact posterior draws, mean and "
    "99 % interval over measurements. Grey band: what a second set of exact draws reaches, the floor.",
    "fidelity-diversity": "Error of the posterior mean (down is better) against diversity over that of the exact "
    "posterior. The star is the exact posterior: left of it samples are too much alike, right of it they spread "
    "too far, above it their mean is off.",
    "calibration": "Share of exact posterior draws inside the central interval of a method's samples, against its "
    "nominal level. Below the diagonal a method is too sure of itself, above it too cautious.",
    "collapse": "Coverage of 90 % intervals against diversity over that of the exact posterior: a small marker for "
    "each task, a large one for their mean (geometric of the ratios). The star is the exact posterior. Methods trained "
    "by reverse KL tend to the shaded corner, where samples are too much alike and intervals too narrow. Not shown: "
    "unconditional, and what is n/a.",
    "amortisation": "Seconds of training and sampling together against the number of measurements, with the suite's "
    "number of samples for each. Circles: break-even points between a method that is trained once and one that is "
    "not; above each panel those of each trained method, from the first to the last; the csv lists the pairs. Seconds "
    "are those of the jobs, on one thread and beside other jobs: a rough figure, no timing. Oracle and unconditional "
    "are left out.",
    "ranks": "Critical-difference diagrams: rank of each method on each task by its mean (or the distance of its mean "
    "from the value to hit), averaged over the tasks where all ranked methods ran; who failed anywhere on a task is "
    "last there. Whiskers: 95 % interval over tasks, none where all agree. A bar on the right joins methods whose mean "
    "ranks differ by no more than the critical difference (5 % over all pairs): these are not told apart.",
}
GRID_CAPTION = (
    "The first measurements of the task: what was measured (blue: not observed), the truth, then three samples, their "
    "mean and their pixelwise standard deviation for exact posterior draws and each method. Standard deviations share "
    "one colour scale per measurement. Images are grey on [-1, 1], the measurement on its own range."
)


def page(
    suite: Suite,
    overview: Table,
    tables: Sequence[Table],
    published: Beside,
    notes: Sequence[str],
    definitions: Mapping[str, str],
) -> str:
    """HTML of the report; reads the figures that stand beside it in figures/.

    Raises ArtefactError when a figure is missing.
    """
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["goal_text"] = goal_text
    return environment.get_template("page.html").render(
        suite=suite,
        overview=overview,
        tables=tables,
        published=published,
        rule=RULE,
        no_pair=NO_PAIR,
        notes=notes,
        definitions=definitions,
        figures={stem: (_embedded(suite.root, stem), caption) for stem, caption in CAPTIONS.items()},
        grids={table.title: _embedded(suite.root, f"grid-{table.title}") for table in tables},
        grid_caption=GRID_CAPTION,
    )


def _embedded(root: Path, stem: str) -> str:
    path = root / "figures" / f"{stem}.png"
    if not path.exists():
        raise ArtefactError(f"{path}: is missing; run the workflow again to make it")
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
