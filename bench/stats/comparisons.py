"""Every method against the best of its task and metric: difference, p-value, verdict, and what could be resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations

import numpy as np

from bench.core.text import csv_text, rounded
from bench.stats.contests import Contest, contests
from bench.stats.inference import ALPHA, POWER, holm, mean_interval, paired_p, resolvable, smallest_p
from bench.stats.results import Suite

_LEVEL, _POWER = f"{100 * ALPHA:.0f} %", f"{100 * POWER:.0f} %"
BOLD = (
    "Bold: tied with the best, the method with the best mean among those that somebody would choose (not reference, "
    "oracle, unconditional). Not bold: worse by a paired two-sided sign-flip test over measurements, p at most "
    f"{_LEVEL} after Holm's correction over all pairs of methods (not only those with the best, which the same data "
    "chose), or failed somewhere: a failed measurement counts as the worst value that any method has there. Where a "
    "value is to be hit, distances of the means from it are compared. Methods tried on less than half of the "
    "measurements are not compared. All p-values: comparisons.csv."
)
ONE_SEED = "With one seed, intervals and verdicts about trained methods hold for that one training."
SEVERAL_SEEDS = (
    "Seeds are averaged within a measurement and are a factor of their own, crossed with the measurements, in "
    "intervals and tests (two-way analysis of variance, Satterthwaite's degrees of freedom)."
)


@dataclass(frozen=True)
class Comparison:
    """One line of comparisons.csv, in the metric's units.

    difference: by how much worse than the best, with its 95 % interval, for this comparison alone.
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


def compare(suite: Suite) -> list[Comparison]:
    """A line for each method of each contest of two methods or more."""
    return [line for contest in contests(suite) if len(contest.methods) > 1 for line in _compare(contest)]


def comparisons_csv(lines: Iterable[Comparison]) -> str:
    """The text of comparisons.csv."""
    names = [field.name for field in fields(Comparison)]
    return csv_text(names, ([getattr(line, name) for name in names] for line in lines))


def tied(lines: Iterable[Comparison]) -> frozenset[tuple[str, str, str]]:
    """(task, method, metric) of what is bold."""
    return frozenset((line.task, line.method, line.metric) for line in lines if line.tied)


def resolution(lines: Sequence[Comparison], wanted: Mapping[str, tuple[str, str]]) -> str:
    """In words: the smallest difference that can be resolved for each label -> (task, metric); "" without any."""
    known, too_few, counts = [], [], set()
    for label, key in wanted.items():
        found = [x for x in lines if (x.task, x.metric) == key and x.method != x.best and x.resolvable is not None]
        counts |= {x.num_measurements for x in found}
        smallest = float(np.median([x.resolvable for x in found])) if found else math.nan
        known += [f"{label} {rounded(smallest, None, None)[0]}"] if math.isfinite(smallest) else []
        too_few += [label] if math.isinf(smallest) else []
    counted = " to ".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""
    resolved = (
        f"Smallest difference to the best that {counted} measurements resolve ({_POWER} power at {_LEVEL} over all "
        f"pairs of methods; median over the methods compared): {', '.join(known)}"
    )
    nothing = f"Too few measurements (of {counted}) to tell methods apart by any difference, so nothing is bold: "
    return ". ".join([resolved] * bool(known) + [nothing + ", ".join(too_few)] * bool(too_few))


def _compare(contest: Contest) -> list[Comparison]:
    others = [j for j in range(len(contest.methods)) if j != contest.best]
    adjusted = _adjusted(contest)
    ends = np.stack(mean_interval(_differences(contest, others), 1 - ALPHA), 1).tolist()
    smallest = dict(zip(others, _resolvable(contest, others).tolist(), strict=True))
    intervals = dict(zip(others, ends, strict=True))
    lines = []
    for j, line in enumerate(_without_numbers(contest)):
        if j == contest.best:
            lines.append(replace(line, tied=None if line.reason else line.num_failed == 0))
            continue
        p, p_holm = adjusted[frozenset((j, contest.best))]
        difference, low, high = (end if math.isfinite(end) else None for end in intervals[j])
        verdict = None if line.reason else p_holm > ALPHA and line.num_failed == 0
        known = {"difference": difference, "low": low, "high": high, "p": p, "p_holm": p_holm}
        lines.append(replace(line, **known, tied=verdict, resolvable=smallest[j]))
    return [*lines, *_not_compared(contest)]


def _without_numbers(contest: Contest) -> list[Comparison]:
    num, names = len(contest.losses), (contest.task, contest.metric)
    can_tell = smallest_p(num) * _num_pairs(contest) <= ALPHA
    reason = "" if can_tell else f"n/a ({num} measurements are too few for any verdict)"
    best, nothing = contest.methods[contest.best], (None,) * 7
    counted = zip(contest.methods, contest.num_failed, strict=True)
    return [Comparison(*names, method, best, *nothing, num, failed, reason) for method, failed in counted]


def _not_compared(contest: Contest) -> list[Comparison]:
    names, best, nothing = (contest.task, contest.metric), contest.methods[contest.best], (None,) * 7
    found = contest.too_few.items()
    return [Comparison(*names, m, best, *nothing, n, 0, f"n/a (only {n} measurements)") for m, n in found]


def _adjusted(contest: Contest) -> dict[frozenset[int], tuple[float, float]]:
    """p and Holm's p of every pair of methods.

    Where the metric has a target, distances |a| and |b| of two means differ if and only if a - b and a + b both differ
    from 0: the larger of the two p-values is a test of the level of each (intersection-union).
    """
    pairs = list(combinations(range(len(contest.methods)), 2))
    left, right = (contest.losses[..., [pair[side] for pair in pairs]] for side in (0, 1))
    p = paired_p(left - right)
    if contest.signed:
        p = np.maximum(p, paired_p(left + right))
    both = zip(p.tolist(), holm(p).tolist(), strict=True)
    return {frozenset(pair): values for pair, values in zip(pairs, both, strict=True)}


def _differences(contest: Contest, others: Sequence[int]) -> np.ndarray:
    """`(n, s, k - 1)`: how much worse than the best the others are, each from its own side of a target."""
    losses = contest.losses
    if contest.signed:
        losses = losses * np.where(losses.mean((0, 1)) < 0, -1, 1)
    return losses[..., others] - losses[..., [contest.best]]


def _resolvable(contest: Contest, others: Sequence[int]) -> np.ndarray:
    alpha = ALPHA / _num_pairs(contest)
    mine, best = contest.losses[..., others], contest.losses[..., [contest.best]]
    if not contest.signed:
        return resolvable(mine - best, alpha)
    both = (resolvable(form, alpha, math.sqrt(POWER)) for form in (mine - best, mine + best))  # both have to reject
    return np.maximum(*both)


def _num_pairs(contest: Contest) -> int:
    return math.comb(len(contest.methods), 2)
