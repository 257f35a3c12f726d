"""Test whether values per measurement agree with published ones, up to Monte Carlo error and training, cell by cell.

A cell is a metric of a method on a task. Both sides drew samples of the same measurements, so a cell is judged by the
paired differences `here - published`. Where code and settings are the same, each difference is as likely as its
negative, whatever its law: chains that diverge by rounding are draws of one distribution, and values that stay equal
differ by 0. All cells of a run (a method on a task) are tested together by flips of these signs, with Bonferroni's
correction for the number of runs. Then all tasks of a method are tested together, which finds a change that is too
small on each of them. Another training of a network moves all measurements of a task at once, which flips do not
account for: there the spread over training seeds decides (`_trained`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from bench.stats.sign_flips import flip_p, smallest_flip_p

ALPHA = 0.01  # probability that chance alone gives any "not reproduced" in a suite
POWER = 0.8
ROUNDING = 2e-5  # relative; values are published to six digits
NEGLIGIBLE = 1e-3  # shifts below this part of the values' root mean square are of no consequence
FEWEST = 5  # measurements (times seeds); with fewer, nothing is tested
KEYS = ["task", "method", "seed", "measurement", "metric"]
ALL_TASKS = "(all tasks)"  # in place of a task's name
REPRODUCED, DIFFERS, UNTESTED = "reproduced", "not reproduced", "not testable"

Run = tuple[str, str]  # task, method
Spreads = Mapping[tuple[str, str], tuple[float, int]]


@dataclass(frozen=True)
class Cell:
    """One line of reproduction.csv, in the metric's units.

    published, here: means over the measurements and seeds that both sides have. standardised: difference over its
    standard error. p: of this cell alone, after Student. p_suite: corrected for all cells of the suite.
    detectable: the shift that is found with probability 0.8, as a multiple of the published root mean square. how: the
    test behind p_suite.
    """

    task: str
    method: str
    metric: str
    published: float | None = None
    here: float | None = None
    difference: float | None = None
    standardised: float | None = None
    p: float | None = None
    p_suite: float | None = None
    detectable: float | None = None
    num_measurements: int = 0
    num_seeds: int = 0
    how: str = ""
    verdict: str = REPRODUCED
    reason: str = ""


@dataclass(frozen=True)
class Paired:
    """Values of one cell on both sides, `(m, s)` each; of a harmonic column their reciprocals.

    num_tasks: how many tasks the values are from, one after another, each in units of its own.
    """

    task: str
    method: str
    metric: str
    published: np.ndarray
    here: np.ndarray
    harmonic: bool = False
    num_tasks: int = 1

    @property
    def differences(self) -> np.ndarray:
        """Return `here - published`, 0 where both agree to the published digits."""
        difference = self.here - self.published
        largest = np.maximum(np.abs(self.here), np.abs(self.published))
        return np.where(np.abs(difference) <= ROUNDING * largest, 0.0, difference)

    @property
    def scale(self) -> float:
        """Return the root mean square of the published values."""
        return float(np.sqrt(np.mean(self.published**2)))

    @property
    def variance_of_seeds(self) -> float:
        """Return the variance of a seed's mean over measurements within each side, pooled over both sides."""
        means = np.stack([self.published.mean(0), self.here.mean(0)])
        return float(means.var(1, ddof=1).mean()) if means.shape[1] > 1 else 0.0

    def cell(self) -> Cell:
        """Return the means of the cell, without a test; values of several tasks have no unit in common."""
        num, seeds = self.published.shape
        cell = Cell(self.task, self.method, self.metric, num_measurements=num, num_seeds=seeds)
        if self.num_tasks > 1:
            return cell
        old, new = float(self.published.mean()), float(self.here.mean())
        if self.harmonic:
            old, new = (1 / mean if mean else math.inf for mean in (old, new))
        return replace(cell, published=old, here=new, difference=new - old)

    def tested(self, error: float, dof: int, bar: float) -> Cell:
        """Return the cell with its standardised difference; bar: the smallest that counts as a difference."""
        shift = float(self.differences.mean())
        ratio = shift / error if error > 0 else math.copysign(math.inf, shift) if shift else 0.0
        detectable = float((bar + stdtrit(dof, POWER)) * error / self.scale) if self.scale else None
        numbers = {"standardised": ratio, "p": float(2 * stdtr(dof, -abs(ratio)))}
        return replace(self.cell(), **numbers, detectable=detectable)


def compare_values(
    published: pd.DataFrame,
    here: pd.DataFrame,
    trained: Collection[Run] = (),
    harmonic: Collection[str] = (),
) -> list[Cell]:
    """Return a cell for each (task, method, metric) with values on both sides, then those of all tasks of a method.

    published, here: frames with KEYS and `value`. trained: pairs (task, method) with a training of their own, once for
    all measurements. harmonic: metrics whose values average harmonically; they are compared by their reciprocals.
    """
    runs: dict[Run, list[Paired]] = {}
    for pair in _paired(published, here, harmonic):
        runs.setdefault((pair.task, pair.method), []).append(pair)
    spreads = spreads_of_trainings([pair for run in trained for pair in runs.get(run, [])])
    runs |= _of_all_tasks(runs, trained)
    num_runs = sum(any(pair.differences.any() for pair in pairs) for pairs in runs.values())
    cells: list[Cell] = []
    for run, pairs in runs.items():
        moved = [pair for pair in pairs if pair.differences.any()]
        if run in trained or (run[0] == ALL_TASKS and _is_trained(run[1], trained)):
            judged = _trained(moved, spreads, num_runs)
        else:
            judged = _flipped(moved, num_runs)
        tested = dict(zip([pair.metric for pair in moved], judged, strict=True))
        cells += [tested[p.metric] if p.metric in tested else _equal(p) for p in pairs]
    return cells


def compare_exactly(
    published: pd.DataFrame, here: pd.DataFrame, metrics: Collection[str]
) -> list[Cell]:
    """Return a cell for each count (network rows) that both summaries have; counts have no Monte Carlo error."""
    sides = [
        side[side["metric"].isin(list(metrics)) & side["mean"].notna()]
        for side in (published, here)
    ]
    both = sides[0].merge(
        sides[1], on=["task", "method", "metric"], suffixes=("_published", "_here")
    )
    cells = []
    for task, method, metric, old, new in both[
        ["task", "method", "metric", "mean_published", "mean_here"]
    ].itertuples(index=False):
        equal = math.isclose(old, new, rel_tol=ROUNDING)
        verdict, reason = (REPRODUCED, "") if equal else (DIFFERS, "the count differs")
        names = (task, method, metric, float(old), float(new), float(new - old))
        cells.append(Cell(*names, how="equality", verdict=verdict, reason=reason))
    return cells


def spreads_of_trainings(pairs: Iterable[Paired]) -> Spreads:
    """Return the relative variance of a training's mean and its degrees of freedom, by (method, metric).

    They are pooled over the tasks on which the method was trained with several seeds; under ("", metric), also over all
    methods.
    """
    parts: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for pair in pairs:
        dof = 2 * (pair.published.shape[1] - 1)
        if dof and pair.scale > 0:
            for method in (pair.method, ""):
                relative = pair.variance_of_seeds / pair.scale**2
                parts.setdefault((method, pair.metric), []).append((relative, dof))
    pooled = {}
    for key, several in parts.items():
        total = sum(dof for _, dof in several)
        pooled[key] = (sum(variance * dof for variance, dof in several) / total, total)
    return pooled


def _paired(
    published: pd.DataFrame, here: pd.DataFrame, harmonic: Collection[str]
) -> Iterator[Paired]:
    """Yield the values of each cell; a measurement counts where all seeds that both sides have gave a number."""
    both = published.merge(here, on=KEYS, suffixes=("_published", "_here"), validate="one_to_one")
    values = ["value_published", "value_here"]
    inverse = both["metric"].isin(list(harmonic))
    both.loc[inverse, values] = 1 / both.loc[inverse, values]
    both = both[np.isfinite(both[values]).all(axis=1)]
    number = both.groupby(["task", "method", "metric"], sort=False).ngroup().to_numpy()
    order = np.lexsort([both["seed"], both["measurement"], number])
    starts = np.unique(number[order], return_index=True)[1]
    ends = np.append(starts, len(order))[1:]
    keys = both[KEYS].iloc[order[starts]].itertuples(index=False)
    sides = [both[side].to_numpy()[order] for side in values]
    places = [both[name].to_numpy()[order] for name in ("measurement", "seed")]
    for key, start, end in zip(keys, starts, ends, strict=True):
        tables = _complete(*(column[start:end] for column in (*places, *sides)))
        if len(tables[0]):
            yield Paired(key.task, key.method, key.metric, *tables, key.metric in harmonic)


def _complete(
    measurements: np.ndarray, seeds: np.ndarray, old: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both sides of a cell as tables (m, s), of the measurements that have a value for each of its seeds.

    The given values are ordered by measurement, then by seed.
    """
    num_seeds = len(np.unique(seeds))
    _, starts, counts = np.unique(measurements, return_index=True, return_counts=True)
    rows = starts[counts == num_seeds, None] + np.arange(num_seeds)
    return old[rows], new[rows]


def _of_all_tasks(
    runs: Mapping[Run, list[Paired]], trained: Collection[Run]
) -> dict[Run, list[Paired]]:
    """Return, by metric, the values of each method on all tasks where they differ, one task after another.

    Values are in units of a task's differences, so that no task hides the others. For trained methods the unit is that
    of the values, since the spread over trainings is relative to them.
    """
    columns: dict[tuple[str, str], list[Paired]] = {}
    for pairs in runs.values():
        for pair in pairs:
            if pair.differences.any():
                columns.setdefault((pair.method, pair.metric), []).append(pair)
    together: dict[Run, list[Paired]] = {}
    for (method, metric), pairs in columns.items():
        seeds = {pair.published.shape[1] for pair in pairs}
        if len(pairs) < 2 or len(seeds) > 1:
            continue
        is_trained = _is_trained(method, trained)
        units = [
            pair.scale if is_trained else float(np.sqrt(np.mean(pair.differences**2)))
            for pair in pairs
        ]
        old, new = (
            np.concatenate([side(pair) / unit for pair, unit in zip(pairs, units, strict=True)])
            for side in (lambda pair: pair.published, lambda pair: pair.here)
        )
        stacked = Paired(ALL_TASKS, method, metric, old, new, num_tasks=len(pairs))
        together.setdefault((ALL_TASKS, method), []).append(stacked)
    return together


def _is_trained(method: str, trained: Collection[Run]) -> bool:
    return any(method == other for _, other in trained)


def _flipped(pairs: list[Paired], num_runs: int) -> list[Cell]:
    """Return the cells of one run, tested together by flips of the signs of measurements and seeds.

    Where there are fewer patterns of signs than the correction for `num_runs` needs, Student's test with Bonferroni's
    correction over the metrics is used instead.
    """
    longest = max((pair.differences.size for pair in pairs), default=0)
    table = np.zeros((longest, len(pairs)))  # a measurement that a metric lacks flips nothing there
    for j, pair in enumerate(pairs):
        table[: pair.differences.size, j] = pair.differences.ravel()
    by_flips = num_runs * smallest_flip_p(int(table.any(axis=1).sum())) <= ALPHA and bool(pairs)
    p_run, bar = flip_p(table, ALPHA / num_runs) if by_flips else (np.ones(len(pairs)), 0.0)
    cells = []
    for pair, p in zip(pairs, p_run, strict=True):
        flat = pair.differences.ravel()
        if len(flat) < FEWEST:
            reason = f"{len(flat)} measurements are too few"
            cells.append(replace(pair.cell(), verdict=UNTESTED, reason=reason))
            continue
        error, dof = float(flat.std(ddof=1)) / math.sqrt(len(flat)), len(flat) - 1
        if by_flips:
            cells.append(_judged(pair.tested(error, dof, bar), num_runs * p, "sign flips", pair))
        else:
            cells.append(_by_student(pair, error, dof, num_runs * len(pairs), "Student's t"))
    return cells


def _trained(pairs: list[Paired], spreads: Spreads, num_runs: int) -> list[Cell]:
    """Return the cells of a run whose method was trained: its shift is compared with the spread over training seeds.

    Measurements are common to both sides and cancel; a seed's mean varies by its training and by its samples. The
    variance used is the larger of the cell's own and the pooled one of the same method and metric on all tasks,
    relative to the values. The degrees of freedom are those of the pooled variance; with three seeds a cell's own has
    four. With one training on each side a cell has no variance of its own, and where the method has none on any task,
    that of all trained methods is used.
    """
    cells = []
    for pair in pairs:
        seeds, unknown = pair.published.shape[1], (0.0, 0)
        relative, dof = spreads.get(
            (pair.method, pair.metric), spreads.get(("", pair.metric), unknown)
        )
        if not dof:
            reason = "one training, and the spread over trainings of this metric is not known"
            cells.append(replace(pair.cell(), verdict=UNTESTED, reason=reason))
            continue
        pooled = relative * pair.scale**2 / pair.num_tasks
        error = math.sqrt(2 / seeds * max(pair.variance_of_seeds, pooled))
        how = f"training seeds, {dof} degrees of freedom"
        cell = _by_student(pair, error, dof, num_runs * len(pairs), how)
        note = "" if seeds > 1 else "holds for this one training"
        cells.append(cell if cell.reason or seeds > 1 else replace(cell, reason=note))
    return cells


def _by_student(pair: Paired, error: float, dof: int, num_tests: int, how: str) -> Cell:
    cell = pair.tested(error, dof, float(stdtrit(dof, 1 - ALPHA / (2 * num_tests))))
    return _judged(cell, num_tests * (cell.p or 0.0), how, pair)


def _judged(cell: Cell, p_suite: float, how: str, pair: Paired) -> Cell:
    """Return a cell with its verdict at the level of the suite."""
    cell = replace(cell, p_suite=min(1.0, float(p_suite)), how=how)
    if p_suite > ALPHA:
        return cell
    if abs(float(pair.differences.mean())) <= NEGLIGIBLE * pair.scale:
        return replace(cell, reason=f"shift below {NEGLIGIBLE:g} of the values")
    return replace(cell, verdict=DIFFERS)


def _equal(pair: Paired) -> Cell:
    zero = {"difference": 0.0, "standardised": 0.0, "p": 1.0, "p_suite": 1.0}
    return replace(pair.cell(), **zero, how="equal to the published digits")
