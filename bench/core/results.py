"""Records that statistics pass to tables and figures, and the interface of a suite's results for figures.

They are not in `bench.core.types` because methods import that file: an edit for a figure must not redraw samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:  # a table needs no matplotlib
    import numpy as np
    from matplotlib.figure import Figure as Picture

REFERENCE = "reference"  # pseudo method: one set of reference draws against the other
BASELINES = (REFERENCE, "oracle", "unconditional")  # rows that nobody would choose as samplers
ROLES = {REFERENCE: "floor", "unconditional": "ceiling"}
TOTAL = "_total"  # ends the id of a metric against the posterior under a distilled map's teacher
DISTANCE = "energy"  # the metric that leads tables and figures; unbiased, so values may be negative
INTERACTS = "rows interact"  # marks a method whose samples depend on what is computed beside them
DIVERGED = "diverged"  # marks a method with samples far outside the range of images
# marks rows whose method saw another prior than the one whose posterior they are compared with
OTHER_PRIOR = "other prior"
WORTH = "worth_energy"  # independent exact draws that would have the same error in expectation
REFERENCE_DRAWS = (
    "exact"  # name of reference draws in pictures and their csv, also for those of particles
)
# a row at a stated budget, `dps-b100`; a row of any other name is a method of its own
AT_BUDGET = re.compile(r"(?P<method>.+)-b(?P<budget>\d+)\Z")
# the reason in the cells of a method on a task that the suite does not run
LEFT_OUT = "n/a (left out by the suite)"

# figures of every suite in the order of the page, as file stems; a suite can list more
FIGURES = (
    "distance",
    "fidelity-diversity",
    "coverage",
    "calibration",
    "tarp",
    "sbc",
    "misspecification",
    "collapse",
    "amortisation",
    "cost",
)
FIGURES += ("cost-seconds", "ranks")
CLOCK = "clock"  # figure of a suite that times its runs, after the others


def figures_of(
    own: Mapping[str, Mapping[str, Any]], is_timed: bool
) -> dict[str, Mapping[str, Any]]:
    """Return the parameters of all figures of a suite by file stem; own: those that its YAML lists."""
    return {**dict.fromkeys((*FIGURES, *((CLOCK,) if is_timed else ())), {}), **own}


@dataclass(frozen=True)
class Summary:
    """One line of summary.csv: a mean with its interval, or the reason why there is none."""

    task: str
    method: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    num_failed: int
    reason: str


@dataclass(frozen=True)
class Ranking:
    """Methods from best to worst by mean rank over tasks, each pair by the tasks where both ran; rank 1 is best.

    low, high: 95 % intervals over tasks, within the possible ranks; None for a single task.
    critical: ranks that differ by more are told apart (5 % over all pairs).
    num_tasks_of: tasks that each method was ranked on. not_counted: tasks with fewer than two ranked methods.
    not_ranked: methods -> number of tasks they ran on. budget: that of all methods ranked, in rows per sample, as text;
    "" without one.
    """

    metric: str
    methods: tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    critical: float
    num_tasks_of: tuple[int, ...]
    tasks: tuple[str, ...]
    not_counted: tuple[str, ...]
    not_ranked: dict[str, int]
    budget: str = ""

    @property
    def title(self) -> str:
        """Return the metric, with the budget where there is one."""
        return f"{self.metric}, {self.budget} rows a sample" if self.budget else self.metric

    @property
    def ties(self) -> tuple[tuple[int, int], ...]:
        """Return the longest runs (first, last) of neighbours that are not told apart."""
        ties: list[tuple[int, int]] = []
        for first, mean in enumerate(self.mean):
            last = max(
                j for j, other in enumerate(self.mean) if other - mean <= self.critical + 1e-9
            )
            if last > first and (not ties or last > ties[-1][1]):
                ties.append((first, last))
        return tuple(ties)

    @property
    def num_tasks(self) -> int:
        """Return the number of tasks with a number in the metric, counted or not."""
        return len(self.tasks) + len(self.not_counted)

    @property
    def can_tell(self) -> bool:
        """Return whether some possible difference of mean ranks is larger than `critical`."""
        return self.critical < len(self.methods) - 1


@dataclass(frozen=True)
class SampleSet:
    """Samples `x` (m, s, *x) of one method on the first m measurements; with s = 0, `reason` says why.

    remark: OTHER_PRIOR where the method saw another prior than the one whose posterior is shown.
    reasons: for each measurement, why its samples are not shown, "" where they are; empty if all are.
    """

    name: str
    x: np.ndarray
    reason: str = ""
    remark: str = ""
    reasons: Sequence[str] = ()

    def why_not(self, i: int) -> str:
        """Return why there is no picture for measurement `i`; "" where there is one."""
        if self.reason or not self.x.shape[1]:
            return self.reason or "no samples"
        if i >= len(self.x):
            return f"n/a (only the first {len(self.x)} measurements)"
        if self.reasons and self.reasons[i]:
            return self.reasons[i]
        is_finite = bool(abs(self.x[i]).max() < float("inf"))
        return "" if is_finite else "failed (samples are not finite)"


@dataclass(frozen=True)
class TaskSamples:
    """What a figure of one task shows.

    measured: `x_true` (m, *x), `y` (m, *y), and possibly `mask` (m, *x).
    sample_sets: reference draws, then the samples of each method.
    """

    task: str
    measured: Mapping[str, np.ndarray]
    sample_sets: Sequence[SampleSet]


class Results(Protocol):
    """Results of a suite, as `bench.stats.figure_results` offers them to figures.

    methods: rows without the reference, by kind (oracle and unconditional first), those of a kind in the order of the
    suite. kinds: by row. timings: contents of timing.json of the runs that were clocked. well_specified: tasks whose
    x_true are draws of the prior.
    """

    @property
    def tasks(self) -> tuple[str, ...]: ...
    @property
    def methods(self) -> tuple[str, ...]: ...
    @property
    def kinds(self) -> Mapping[str, str]: ...
    @property
    def well_specified(self) -> tuple[str, ...]: ...
    @property
    def num_samples(self) -> int: ...  # per measurement
    @property
    def timings(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def summary(self) -> Sequence[Summary]: ...  # all lines of summary.csv: metrics and costs
    @property
    def metrics(self) -> tuple[str, ...]: ...  # the metrics and costs that these lines are about
    def lines_of(
        self, metric: str
    ) -> Sequence[Summary]: ...  # those of one metric, which take less time
    def num_measured(self, task: str) -> int: ...  # measurements
    def line(self, task: str, method: str, metric: str) -> Summary | None: ...  # one of them
    # measurement -> seeds
    def values(self, task: str, method: str, metric: str) -> dict[int, tuple[float, ...]]: ...
    # one for each metric with two ranked methods
    def rankings(self, metrics: Sequence[str]) -> list[Ranking]: ...
    # whether a method saw the prior whose posterior it is compared with on a task
    def is_ranked(self, task: str, method: str) -> bool: ...
    def label(self, method: str) -> str: ...  # for a legend


@dataclass(frozen=True)
class Drawing:
    """A matplotlib figure and the text of the csv with the values in it."""

    figure: Picture
    csv: str


class Figure(Protocol):
    """A figure plug-in: a frozen dataclass in bench/figures; `draw` gets the results of a suite."""

    caption: ClassVar[str]

    def draw(self, results: Results) -> Drawing: ...


class TaskFigure(Protocol):
    """A figure plug-in that draws one task at a time (`grid`)."""

    caption: ClassVar[str]

    def draw(self, results: TaskSamples) -> Drawing: ...
