"""The headline of a suite and the columns of its first table: the suite's own, or those that its tasks can have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.errors import UserError
from bench.core.results import DISTANCE, WORTH, Summary
from bench.core.weights import UNVERIFIED
from bench.report.front.references import has_reference
from bench.stats.front_columns import CALLS, DERIVED, DONE, MILLISECONDS, OVER_FLOOR
from bench.stats.results import SuiteResults

CEILING = "unconditional"  # draws of the prior: where the way from the floor ends
COVERAGE, TRAINING = "coverage_exact@0.9", "train_seconds"
COSTS = (CALLS, MILLISECONDS, TRAINING, DONE)
WITH_REFERENCE = (OVER_FLOOR, WORTH, COVERAGE, "diversity_ratio", *COSTS)
# for suites without reference draws, beginnings of the ids of columns for fidelity, misfit, diversity and sets: of each
# group, the first with numbers is shown
WITHOUT = (
    ("psnr_mean",),
    ("ssim-",),
    ("lpips-alex", "lpips-vgg", "percept-"),
    ("chi2_sample", "log_reward"),
    ("pairwise-", "diversity"),
    ("fid-", "frechet-"),
    ("kid-",),
)
# what may lead where no distance to a posterior is known
LEADS = ("psnr_mean", "log_reward", "chi2_sample")
LABELS = {
    OVER_FLOOR: "distance over floor",
    WORTH: "worth in exact draws",
    COVERAGE: "coverage of 90 %",
    "diversity_ratio": "diversity ratio",
    CALLS: "network calls a sample",
    MILLISECONDS: "milliseconds a sample",
    TRAINING: "training seconds",
    DONE: "tasks done",
    DISTANCE: "energy distance",
    "psnr_mean": "PSNR of the mean",
    "chi2_sample": "data misfit (χ²)",
    "log_reward": "log reward",
}
ABOUT = {
    OVER_FLOOR: "headline distance as a share of the way from the floor (0 %, exact draws) to the ceiling (100 %, "
    "draws of the prior, which ignore the measurement); mean over tasks",
    CALLS: "images through the prior's network per posterior sample, forward and backward, without training; mean over "
    "tasks",
    MILLISECONDS: "milliseconds per posterior sample: by the clock if the suite has one, else processor time of the "
    "job, which is rough; mean over tasks",
    DONE: "number of tasks that the method finished; averages of a row are over these tasks, so rows with different "
    "tasks cannot be compared exactly",
}
OTHER_WEIGHTS = re.compile(rf"-{UNVERIFIED}[0-9a-f]{{8}}")  # in ids, before the rest of the name
RATIO = "_ratio"  # at the end of the ids of ratios that aim at 1
OF_RATIOS = (
    "; median over tasks, for an even number of them the geometric mean of the middle two: where a posterior is nearly "
    "one image, a ratio can be any number and would decide every mean"
)
# what a perfect sampler has: shown as the goal of a column
GOALS = {OVER_FLOOR: "down", WORTH: "up"}


@dataclass(frozen=True)
class Column:
    """A column: id of a metric, of a cost or one of DERIVED. goal: "up", "down", "= 0.9" or ""; about: its meaning."""

    id: str
    label: str
    goal: str
    about: str


def headline_of(suite: SuiteResults, lines: Sequence[Summary]) -> str:
    """Return the metric that leads: the suite's choice, else the distance where there is one, else the first of LEADS.

    Raises UserError, one line, where the suite names a metric that it does not have.
    """
    named_columns(suite, lines)
    if suite.headline:
        return _known(suite.headline, lines, "headline")
    measured = {line.metric for line in lines if line.mean is not None}
    candidates = (DISTANCE, *LEADS) if has_reference(suite) else LEADS
    return next((name for name in candidates if name in measured), DISTANCE)


def front_ids(suite: SuiteResults, lines: Sequence[Summary]) -> tuple[str, ...]:
    """Return the ids of the columns of the first table, the headline first. UserError as above."""
    headline = headline_of(suite, lines)
    if suite.columns:
        return tuple(dict.fromkeys((headline, *named_columns(suite, lines), DONE)))
    if headline == DISTANCE and has_reference(suite):
        return WITH_REFERENCE if CEILING in suite.methods else (headline, *WITH_REFERENCE[1:])
    measured = dict.fromkeys(x.metric for x in lines if x.mean is not None and _is_plain(x.metric))
    chosen = [
        next((m for s in starts for m in measured if m.startswith(s)), "") for starts in WITHOUT
    ]
    of_reference = [x for x in WITH_REFERENCE if x not in COSTS] if has_reference(suite) else []
    return tuple(name for name in dict.fromkeys((headline, *of_reference, *chosen, *COSTS)) if name)


def _is_plain(metric: str) -> bool:
    """Return whether a metric is neither a floor nor relative to reference draws."""
    return not any(part in metric for part in ("_floor", "_ratio", "_total", "_sample@"))


def named_columns(suite: SuiteResults, lines: Sequence[Summary]) -> tuple[str, ...]:
    """Return the columns that a suite names, with the number of samples of those of sets. UserError as above."""
    return tuple(_known(name, lines, "columns") for name in suite.columns)


def _known(name: str, lines: Sequence[Summary], key: str) -> str:
    """Return the id that a suite means: `kid-inception-v3-compat` is `kid-inception-v3-compat-n8` of 8 samples.

    Where the weights are not the published ones, it is the column that says so: one cannot know its name beforehand.
    """
    known = dict.fromkeys((*(line.metric for line in lines), *DERIVED))
    as_named = re.compile(rf"{re.escape(name)}(-n\d+)?")
    meant = (id for id in known if as_named.fullmatch(OTHER_WEIGHTS.sub("", id)))
    if name in known or (name := next(meant, name)) in known:
        return name
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f"; did you mean {close[0]}?" if close else ""
    raise UserError(f"metrics.{key}: this suite has no column {name}{advice}")
