"""The numbers behind the charts of the page, for each figure of a suite that charts.js can draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.core import registry
from bench.core.artefacts import Json
from bench.core.results import BASELINES, DISTANCE, REFERENCE, Summary
from bench.core.source import read_source
from bench.figures._levels import CONFIDENCE, sampling_band
from bench.report.front.columns import CEILING, LABELS
from bench.report.front.references import NONE, reference_mode
from bench.report.front.standings import Front, Known, by_key
from bench.stats.ranks import rankings
from bench.stats.results import SuiteResults, TaskResults
from bench.stats.spending import within_budget

LEVELS = {  # figure -> metric, whether x_true has to be a draw of the prior (None: either), words across and upwards
    "coverage": ("coverage_exact", None, "nominal level of the interval", "share of reference draws inside"),
    "calibration": ("coverage_x_true", True, "nominal level of the interval", "share of pixels of x_true inside"),
    "tarp": ("tarp_x_true", True, "rank of x_true by distance to a point", "share of measurements below"),
    "sbc": ("sbc-misfit_x_true", True, "rank of x_true by data misfit", "share of measurements below"),
    "misspecification": ("coverage_x_true", False, "nominal level of the interval", "share of pixels of x_true inside"),
}  # fmt: skip
VIEWS = {
    "distance": "tasks",
    "fidelity-diversity": "tasks",
    "ranks": "tasks",
    "collapse": "calibration",
}
VIEWS |= dict.fromkeys(LEVELS, "calibration") | dict.fromkeys(
    ("cost", "cost-seconds", "amortisation"), "cost"
)
MOST_MEASUREMENTS = 100_000  # right end of the chart of amortisation


@dataclass(frozen=True)
class Source:
    """The results from which charts are made."""

    suite: SuiteResults
    known: Known
    front: Front

    @property
    def judged(self) -> list[TaskResults]:
        return [task for task in self.suite.tasks if reference_mode(task) != NONE]

    def line(self, task: str, method: str, metric: str) -> Summary | None:
        line = self.known.get((task, method, metric))
        return line if line and line.mean is not None else None

    def number(self, task: str, method: str, metric: str) -> float | None:
        line = self.line(task, method, metric)
        return line.mean if line else None


def charts_of(suite: SuiteResults, lines: Sequence[Summary], front: Front) -> list[Json]:
    """Return the charts, as charts.js reads them, of those of the suite's figures that have any number."""
    source = Source(suite, by_key(lines), front)
    made = [(stem, make(source)) for stem, make in makers().items() if stem in suite.figures]
    charts = [
        {"id": stem, "view": VIEWS[stem], "caption": caption_of(stem)} | chart
        for stem, chart in made
        if chart and chart["panels"]
    ]
    return charts


def makers() -> dict[str, Callable[[Source], Json | None]]:
    """Return, for each figure that the page draws itself, the function that makes its chart."""
    levels = {stem: (lambda source, stem=stem: _levels(source, stem)) for stem in LEVELS}
    return {
        "distance": _distance,
        "fidelity-diversity": _fidelity,
        "ranks": _ranks,
        **levels,
        "collapse": _collapse,
        "cost": lambda source: _quality(source, "rows"),
        "cost-seconds": lambda source: _quality(source, "seconds"),
        "amortisation": _amortisation,
    }


def caption_of(stem: str) -> str:
    """Return the caption of the figure's plug-in; of `grid-<task>` that of the plug-in `grid`.

    It is read from the source, so that a user's plug-in which ends its process does not end the page's.
    """
    is_grid = stem.startswith("grid-") and not registry.find("figure", stem)
    file = registry.find("figure", "grid" if is_grid else stem)
    source = read_source(file) if file else None
    return str((source.constant("caption") if source else None) or stem)


def _distance(source: Source) -> Json | None:
    """Return a row for each task: headline with its interval, the floor behind it."""
    metric, panels = source.front.headline, []
    for task in source.suite.tasks:
        series = [
            _series(task, m, [_ends(line)])
            for m in source.suite.methods
            if (line := source.line(task.name, m, metric))
        ]
        floor = source.line(task.name, REFERENCE, metric)
        panel = {"title": task.name, "series": series, "floor": _ends(floor) if floor else None}
        panels += [panel] if series else []
    label = LABELS.get(metric, metric)
    words = f"{label} of each method on each task, with 99 % intervals"
    is_distance = metric == DISTANCE
    return {
        "kind": "rows",
        "title": f"{label[0].upper()}{label[1:]} by task",
        "alt": f"{words}. {_take_away(source)}",
        "x": {
            "label": f"{label}{' to the reference posterior' if is_distance else ''}",
            "scale": "auto",
        },
        "panels": panels,
        **({} if is_distance else {"caption": f"{words}."}),
    }


def _fidelity(source: Source) -> Json | None:
    """Return error of the mean against diversity; without reference draws fidelity against spread."""
    if source.judged:
        across, upwards = "diversity_ratio", "mean_error"
        words = ("diversity, ratio to the reference posterior", "error of the samples' mean")
        alt = "The star is best: the diversity of the reference posterior and no error of the mean."
    else:
        measured = dict.fromkeys(key[2] for key, x in source.known.items() if x.mean is not None)
        spreads = [name for name in measured if name.startswith(("pairwise-", "diversity"))]
        across, upwards = (spreads or ["std_error"])[0], "psnr_mean"
        words = (f"diversity of the samples ({across})", "PSNR of the mean, dB")
        alt = "Higher is nearer to the truth; more diversity is not better by itself."
    caption = f"{words[1]} against {words[0]}, a panel for each task."
    panels = []
    for task in source.suite.tasks:
        series = []
        for m in (REFERENCE, *source.suite.methods):
            pair = [source.line(task.name, m, metric) for metric in (across, upwards)]
            if pair[0] and pair[1]:
                x, y = _ends(pair[0]), _ends(pair[1])
                series.append(_series(task, m, [[x[0], y[0], x[1], x[2], y[1], y[2]]]))
        panels += [{"title": task.name, "series": series}] if series else []
    return {
        "kind": "scatter",
        "title": "Fidelity and diversity",
        "alt": alt,
        "x": {"label": words[0], "scale": "auto"},
        "y": {"label": words[1], "scale": "auto"},
        "panels": panels,
        **({} if source.judged else {"caption": caption}),
    }


def _levels(source: Source, stem: str) -> Json | None:
    """Return curves of shares against their nominal level, a panel per task."""
    metric, specified, across, upwards = LEVELS[stem]
    panels = []
    for task in source.suite.tasks:
        if specified is None and reference_mode(task) == NONE:
            continue
        if specified not in (None, task.is_well_specified):
            continue
        if series := _curves(source, task, metric):
            panel: Json = {"title": task.name, "series": series}
            band = [] if specified is None else _band(source.suite.num_measured(task))
            panels.append(panel | ({"band": band} if band else {}))
    title = {"tarp": "TARP", "sbc": "Simulation-based calibration"}.get(stem, stem.capitalize())
    return {
        "kind": "levels",
        "title": title,
        "alt": f"{title}: a calibrated sampler follows the diagonal; below it, intervals are too narrow.",
        "x": {"label": across, "scale": "unit"},
        "y": {"label": upwards, "scale": "unit"},
        "panels": panels,
    }


def _curves(source: Source, task: TaskResults, metric: str) -> list[Json]:
    """Return the shares of each method at the levels 0.1 to 0.9."""
    series = []
    for m in (REFERENCE, *source.suite.methods):
        shares = {k / 10: source.number(task.name, m, f"{metric}@{k / 10}") for k in range(1, 10)}
        points = [[level, _digits(x)] for level, x in shares.items() if x is not None]
        series += [_series(task, m, points)] if points else []
    return series


def _band(num: int) -> list[list[float]]:
    """Return level, low and high of the band in which a calibrated sampler lies."""
    levels = [k / 20 for k in range(21)]
    return [[level, *map(_digits, sampling_band(level, num, CONFIDENCE))] for level in levels]


def _collapse(source: Source) -> Json | None:
    """Return coverage against diversity of all tasks in one panel."""
    series = []
    for m in source.suite.methods:
        for task in source.judged if m != CEILING else ():
            pair = [
                source.number(task.name, m, x) for x in ("diversity_ratio", "coverage_exact@0.9")
            ]
            if pair[0] is not None and pair[1] is not None:
                point = [_digits(max(pair[0], 1e-3)), _digits(pair[1])]
                series.append(_series(task, m, [point]) | {"task": task.name})
    panel = {"title": "all tasks", "series": series, "star": [1, 0.9]}
    return {
        "kind": "scatter",
        "title": "Collapse",
        "alt": "To the lower left of the star samples are too much alike and intervals too narrow.",
        "x": {"label": "diversity ratio (1: as in the reference posterior)", "scale": "log"},
        "y": {"label": "coverage of 90 % intervals", "scale": "linear"},
        "caption": "Coverage of 90 % intervals against diversity, as a ratio to that of the reference posterior (the "
        "star), a marker for each task and method. Methods trained by reverse KL divergence tend to the lower left.",
        "panels": [panel] if series else [],
    }


def _quality(source: Source, cost: str) -> Json | None:
    """Return the headline against network rows or seconds per sample, a panel per task."""
    metric, panels = source.front.headline, []
    for task in source.suite.tasks:
        series = []
        for m in (m for m in source.suite.methods if m not in BASELINES):
            line, spent = source.line(task.name, m, metric), _spent(source, task.name, m, cost)
            if line and spent is not None:
                x, y = _digits(max(spent, 1.0) if cost == "rows" else spent), _ends(line)
                series.append(_series(task, m, [[x, y[0], x, x, y[1], y[2]]]))
        floor = source.number(task.name, REFERENCE, metric)
        panels += [{"title": task.name, "series": series, "floor": floor}] if series else []
    label = LABELS.get(metric, metric)
    words = "network calls per sample" if cost == "rows" else "seconds per sample"
    better = {"down": "down and to the left is better. ", "up": "up and to the left is better. "}
    own = {"caption": f"{label} against {words}, a panel for each task."}
    return {
        "kind": "scatter",
        "title": f"{label[0].upper()}{label[1:]} against {words}",
        "alt": f"{label} against {words}: {better.get(source.front.goal, '')}{_take_away(source)}",
        "x": {"label": words, "scale": "log"},
        "y": {"label": label, "scale": "auto"},
        "panels": panels,
        **({} if metric == DISTANCE else own),
    }


def _spent(source: Source, task: str, method: str, cost: str) -> float | None:
    """Return network rows or seconds of a sample; those of the clock where there is one."""
    for x in source.suite.timings if cost == "seconds" else ():
        if (x["task"], x["method"]) == (task, method) and x.get("curve"):
            return x["curve"][-1]["median"] / x["curve"][-1]["s"]
    names = ("nfe", "nfe_vjp") if cost == "rows" else ("seconds_per_sample",)
    values = [source.number(task, method, name) for name in names]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _amortisation(source: Source) -> Json | None:
    """Return total seconds against the number of measurements, on tasks where a method is trained."""
    panels = []
    for task in source.suite.tasks:
        series, trained = [], False
        for m in source.suite.methods:
            training, seconds = (
                source.number(task.name, m, name)
                for name in ("train_seconds", "seconds_per_sample")
            )
            if training is None or seconds is None or m in BASELINES:
                continue
            each = source.suite.num_samples * seconds
            trained = trained or training > each
            counts = [10 ** (k / 4) for k in range(int(4 * math.log10(MOST_MEASUREMENTS)) + 1)]
            points = [
                [_digits(n), _digits(training + n * each)]
                for n in counts
                if training + n * each > 0
            ]
            series += [_series(task, m, points)] if points else []
        panels += [{"title": task.name, "series": series}] if trained else []
    return {
        "kind": "lines",
        "title": "When training pays off",
        "alt": "Seconds of training and sampling together: training pays off where a trained method's line is lowest.",
        "x": {"label": "number of measurements", "scale": "log"},
        "y": {"label": "seconds, training and sampling", "scale": "log"},
        "panels": panels,
    }


def _ranks(source: Source) -> Json | None:
    """Return mean ranks with their intervals over tasks, of the rows within the budget, a panel for each metric."""
    panels = []
    for ranking in rankings(within_budget(source.suite)):
        ends = zip(ranking.methods, ranking.mean, ranking.low, ranking.high, strict=True)
        series = [
            {"m": m, "p": [[_digits(mean if x is None else x) for x in (mean, low, high)]]}
            for m, mean, low, high in ends
        ]
        title = f"{ranking.title}, {len(ranking.tasks)} of {ranking.num_tasks} tasks"
        panels.append({"title": title, "series": series, "floor": None})
    return {
        "kind": "rows",
        "title": "Mean ranks",
        "alt": "Mean rank of each method over tasks, with 95 % intervals: left is better.",
        "x": {"label": "mean rank over tasks (1 is best), 95 % interval", "scale": "linear"},
        "panels": panels,
    }


def _take_away(source: Source) -> str:
    """Return which methods are tied for best, for readers who cannot see a chart."""
    rows = [row for row in source.front.methods if row.compared]
    always = [row.method for row in rows if row.tied == row.compared]
    return f"Tied for best wherever compared: {', '.join(always)}." if always else ""


def _series(task: TaskResults, method: str, points: Iterable[list]) -> Json:
    hollow = {"hollow": True} if method in task.unranked else {}
    return {"m": method, "p": list(points)} | hollow


def _ends(line: Summary) -> list[float]:
    """Return mean, low and high."""
    mean = line.mean or 0.0
    return [
        _digits(x) for x in (mean, *(mean if end is None else end for end in (line.low, line.high)))
    ]


def _digits(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0
