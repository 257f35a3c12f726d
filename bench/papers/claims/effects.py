"""Effects that claims are tested by: means over measurements with intervals, and ranges of what is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import gmean

from bench.stats.inference import mean_interval

LEVEL = 0.95
SMALLEST = 1e-3  # of what logarithms are taken: samples that are all equal have no diversity at all

Values = dict[int, np.ndarray]  # measurement -> (s,), one value per seed


@dataclass(frozen=True)
class Effect:
    """An effect with its interval. detail: which rows, measurements and tasks it is of."""

    value: float
    low: float | None
    high: float | None
    detail: str


def log_ratio(one: Values, other: Values) -> Values:
    """Return log(one / other) on the measurements that both have."""
    common = one.keys() & other.keys()
    return {
        i: np.log(np.maximum(one[i], SMALLEST) / np.maximum(other[i], SMALLEST)) for i in common
    }


def mean_effect(
    of_tasks: Mapping[str, Values], detail: str, back: Callable[[float], float] = np.exp
) -> Effect | str:
    """Return the mean over tasks within each measurement, then over measurements with its interval, mapped by `back`.

    Tasks are taken as they are: the interval is for these. Measurements that some task lacks are left out; without any
    common one the result is, as text, what the suite lacks.
    """
    of_tasks = {task: values for task, values in of_tasks.items() if values}
    common = (
        sorted(set.intersection(*(set(values) for values in of_tasks.values()))) if of_tasks else []
    )
    if not common:
        return "needs values of both methods on the same measurements"
    array = np.mean([[values[i] for i in common] for values in of_tasks.values()], axis=0)
    mean, low, high = (float(end[0]) for end in mean_interval(array[..., None], LEVEL))
    ends = (back(low), back(high)) if np.isfinite([low, high]).all() else (None, None)
    by_task = {
        task: back(float(np.mean(list(values.values())))) for task, values in of_tasks.items()
    }
    return Effect(
        back(mean), *ends, f"{detail}; {len(common)} measurements of {_format_tasks(by_task)}"
    )


def counted_effect(by_task: Mapping[str, float], detail: str) -> Effect:
    """Return the geometric mean over tasks and their range: for what is counted, or grows with counts."""
    values = np.array(list(by_task.values()))
    low, high = float(values.min()), float(values.max())
    mean = float(gmean(values)) if low > 0 else float(values.mean())
    return Effect(
        min(max(mean, low), high), low, high, f"{detail}; range over {_format_tasks(by_task)}"
    )


def format_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Return `latent_langevin against dps` for the pairs of methods that were compared."""
    return ", ".join(dict.fromkeys(f"{one} against {other}" for one, other in pairs))


def _format_tasks(by_task: Mapping[str, float]) -> str:
    """Return `2 tasks, from 0.5 (gmm-denoise) to 1.2 (gmm-blur)`; the name of a single task."""
    if len(by_task) == 1:
        return next(iter(by_task))
    least, most = (choose(by_task, key=lambda task: by_task[task]) for choose in (min, max))
    return (
        f"{len(by_task)} tasks, from {by_task[least]:.3g} ({least}) to {by_task[most]:.3g} ({most})"
    )
