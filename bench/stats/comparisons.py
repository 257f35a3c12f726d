"""Compare every method with the best of its task and metric: difference, p-value, verdict, resolvable difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bench.core.text import rounded
from bench.stats.frames import records_csv
from bench.stats.groups import ComparisonGroup, at_equal_budgets, comparison_groups
from bench.stats.inference import (
    ALPHA,
    POWER,
    holm,
    mean_interval,
    pairs_p,
    resolvable,
    smallest_p,
)
from bench.stats.results import SuiteResults

_LEVEL, _POWER = f"{100 * ALPHA:.0f} %", f"{100 * POWER:.0f} %"
BOLD = (
    "Bold: tied with the best. The best is the method with the best mean; reference, oracle and unconditional do not "
    "compete. Another method is not bold where it is worse than the best by a paired two-sided sign-flip test over "
    f"measurements (p at most {_LEVEL} after Holm's correction over all pairs of methods, since the same data chose "
    "the best), or where it failed: a failed measurement counts as the worst value that any method has there. Where "
    "a value is to be hit (= 1), distances of the means from it are compared. Methods tried on less than half of the "
    "measurements are not compared. Rows at budgets (`dps-b100`) are compared with rows of the same budget. All "
    "p-values: comparisons.csv."
)
ONE_SEED = "With one seed, intervals and verdicts about trained methods hold for that one training."
SEVERAL_SEEDS = (
    "Of a method with several seeds a value is the mean over them. Its intervals and tests take measurements and seeds "
    "as two random factors (two-way analysis of variance, Satterthwaite's degrees of freedom), so they hold for other "
    "trainings as well. `seeds 0.01` behind a mean: the standard deviation of the means of the single seeds."
)


@dataclass(frozen=True)
class Comparison:
    """One line of comparisons.csv, in the metric's units.

    difference: how much worse than the best; low, high: its 95 % interval, for this comparison alone.
    p_holm: p after Holm's correction over all pairs of methods.
    tied: whether the method cannot be told from the best; None where there is no verdict, and a reason why.
    resolvable: the difference that has probability 0.8 or more of p_holm below 0.05.
    """

    task: str
    metric: str
    method: str
    best: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    tied: bool | None
    resolvable: float | None
    num_measurements: int
    num_failed: int
    reason: str


def compare(suite: SuiteResults) -> list[Comparison]:
    """Return a line for each method of each group of two methods or more; rows at budgets are grouped by budget."""
    return [
        line
        for group in comparison_groups(suite)
        for part in at_equal_budgets(group)
        if len(part.methods) > 1
        for line in _compare(part)
    ]


def comparisons_csv(lines: Iterable[Comparison]) -> str:
    """Return the text of comparisons.csv."""
    return records_csv(Comparison, lines)


def tied(lines: Iterable[Comparison]) -> frozenset[tuple[str, str, str]]:
    """Return (task, method, metric) of each cell that is bold, tied with the best."""
    return frozenset((line.task, line.method, line.metric) for line in lines if line.tied)


def resolution(lines: Sequence[Comparison], wanted: Mapping[str, tuple[str, str]]) -> str:
    """Return a sentence on the smallest difference that can be resolved for each label -> (task, metric).

    "" where nothing is compared.
    """
    known, too_few, counts = [], [], set()
    of_wanted: dict[tuple[str, str], list[Comparison]] = {key: [] for key in wanted.values()}
    for x in lines:
        if (x.task, x.metric) in of_wanted and x.method != x.best and x.resolvable is not None:
            of_wanted[x.task, x.metric].append(x)
    for label, key in wanted.items():
        others = of_wanted[key]
        counts |= {x.num_measurements for x in others}
        sizes = [x.resolvable for x in others if x.resolvable is not None]
        smallest = float(np.median(sizes)) if sizes else math.nan
        known += [f"{label} {rounded(smallest, None, None)[0]}"] if math.isfinite(smallest) else []
        too_few += [label] if math.isinf(smallest) else []
    counted = " to ".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""
    resolved = (
        f"Smallest difference to the best that {counted} measurements resolve ({_POWER} power at {_LEVEL} over all "
        f"pairs of methods; median over the methods compared): {', '.join(known)}"
    )
    nothing = f"Too few measurements (of {counted}) to tell methods apart by any difference, so nothing is bold: "
    return ". ".join([resolved] * bool(known) + [nothing + ", ".join(too_few)] * bool(too_few))


def _compare(group: ComparisonGroup) -> list[Comparison]:
    others = [j for j in range(len(group.methods)) if j != group.best]
    adjusted = _adjusted(group)
    ends = np.stack(mean_interval(_differences(group, others), 1 - ALPHA), 1).tolist()
    smallest = dict(zip(others, _resolvable(group, others).tolist(), strict=True))
    intervals = dict(zip(others, ends, strict=True))
    lines = []
    for j, line in enumerate(_without_numbers(group)):
        if j == group.best:
            lines.append(replace(line, tied=None if line.reason else line.num_failed == 0))
            continue
        p, p_holm = adjusted[frozenset((j, group.best))]
        difference, low, high = (end if math.isfinite(end) else None for end in intervals[j])
        verdict = None if line.reason else p_holm > ALPHA and line.num_failed == 0
        known = {"difference": difference, "low": low, "high": high, "p": p, "p_holm": p_holm}
        lines.append(replace(line, **known, tied=verdict, resolvable=smallest[j]))
    for method, num in group.too_few.items():
        lines.append(_empty(group, method, num, 0, f"n/a (only {num} measurements)"))
    return lines


def _without_numbers(group: ComparisonGroup) -> list[Comparison]:
    num = len(group.losses)
    can_tell = smallest_p(num) * _num_pairs(group) <= ALPHA
    reason = "" if can_tell else f"n/a ({num} measurements are too few for any verdict)"
    counted = zip(group.methods, group.num_failed, strict=True)
    return [_empty(group, method, num, failed, reason) for method, failed in counted]


def _empty(
    group: ComparisonGroup, method: str, num_measurements: int, num_failed: int, reason: str
) -> Comparison:
    """Return a line without numbers."""
    numbers = dict.fromkeys(("difference", "low", "high", "p", "p_holm", "tied", "resolvable"))
    names = {
        "task": group.task,
        "metric": group.metric,
        "method": method,
        "best": group.methods[group.best],
    }
    return Comparison(
        **names, **numbers, num_measurements=num_measurements, num_failed=num_failed, reason=reason
    )


def _adjusted(group: ComparisonGroup) -> dict[frozenset[int], tuple[float, float]]:
    """Return p and Holm's p of every pair of methods.

    Where the metric has a target, distances |a| and |b| of two means differ if and only if a - b and a + b both differ
    from 0: the larger of the two p-values is a test of the level of each (intersection-union).
    """
    pairs = list(combinations(range(len(group.methods)), 2))
    p = pairs_p(group.losses, pairs, -1)
    if group.signed:
        p = np.maximum(p, pairs_p(group.losses, pairs, 1))
    both = zip(p.tolist(), holm(p).tolist(), strict=True)
    return {frozenset(pair): values for pair, values in zip(pairs, both, strict=True)}


def _differences(group: ComparisonGroup, others: Sequence[int]) -> np.ndarray:
    """Return `(n, s, k - 1)`: how much worse than the best the others are, each from its own side of a target."""
    losses = group.losses
    if group.signed:
        losses = losses * np.where(losses.mean((0, 1)) < 0, -1, 1)
    return losses[..., others] - losses[..., [group.best]]


def _resolvable(group: ComparisonGroup, others: Sequence[int]) -> np.ndarray:
    alpha = ALPHA / _num_pairs(group)
    mine, best = group.losses[..., others], group.losses[..., [group.best]]
    if not group.signed:
        return resolvable(mine - best, alpha)
    # both have to reject
    both = (resolvable(form, alpha, math.sqrt(POWER)) for form in (mine - best, mine + best))
    return np.maximum(*both)


def _num_pairs(group: ComparisonGroup) -> int:
    return math.comb(len(group.methods), 2)
