"""What claims are tested on: values per measurement, network rows and seconds of a suite, and means with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.artefacts import Json
from bench.stats.columns import Column, task_columns
from bench.stats.inference import mean_interval
from bench.stats.results import Run, Suite, Task

LEVEL = 0.95
DISTANCE, FIDELITY, DIVERSITY, EFFECTIVE = "sw2-128", "psnr_mean", "diversity_ratio", "ess_bulk"
ALIKE = 1.25  # costs that differ by less than this factor count as equal
LEAST = 1e-3  # of what logarithms are taken: samples that are all equal have no diversity at all

Values = dict[int, np.ndarray]  # measurement -> (s,), one value per seed


@dataclass(frozen=True)
class Finding:
    """An effect with its interval, and in words what it is of."""

    effect: float
    low: float | None
    high: float | None
    detail: str


@dataclass(frozen=True)
class Evidence:
    """A suite, looked up by task and method."""

    suite: Suite
    columns: dict[str, dict[tuple[str, str], Column]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {task.name: task_columns(task, self.suite) for task in self.suite.tasks})

    def tried(self, task: Task, module: str) -> list[str]:
        """The rows `module` and `module-...` that ran on a task, also where they failed; the plain one first."""
        found = [m for m in self.suite.methods if f"{m}-".startswith(f"{module}-")]
        found = [m for m in found if any(self._tried(run) for run in runs(task, m))]
        return sorted(found, key=lambda method: method != module)

    @staticmethod
    def _tried(run: Run) -> bool:
        return run.header.get("status", "ok") != "n/a"

    def values(self, task: Task, method: str, metric: str) -> Values:
        """By measurement; a failed one is as far away as the worst of all methods there, and has no other values."""
        column = self.columns[task.name].get((method, metric))
        if column is None:
            return {}
        found = {i: np.array(values) for i, values in column.values.items()}
        if metric == DISTANCE:
            seeds = len(self.suite.seeds)
            found |= {i: np.full(seeds, self._worst(task, metric, i)) for i in column.failed}
        return {i: values for i, values in found.items() if np.isfinite(values).all()}

    def _worst(self, task: Task, metric: str, i: int) -> float:
        others = (c for (_, name), c in self.columns[task.name].items() if name == metric)
        return max((max(c.values[i]) for c in others if i in c.values), default=np.nan)

    def timing(self, task: Task, method: str) -> Json | None:
        """What the clock found of a run; None where it was not clocked, or drew nothing."""
        found = [x for x in self.suite.timings if (x["task"], x["method"]) == (task.name, method) and x.get("curve")]
        return found[0] if found else None


def runs(task: Task, method: str) -> list[Run]:
    return [run for run in task.runs if run.method == method]


def setting(task: Task, method: str, name: str) -> object:
    """What the suite sets; None where it leaves the default."""
    return settings(task, method).get(name)


def settings(task: Task, method: str) -> Json:
    return runs(task, method)[0].cost.get("settings", {})


def forward(task: Task, method: str) -> float:
    """Network rows forward per posterior sample (NFE)."""
    return float(np.mean([run.cost["nfe"] for run in runs(task, method)]))


def rows(task: Task, method: str) -> float:
    """Network rows per posterior sample, forward and backward."""
    return float(np.mean([run.cost["nfe"] + run.cost["nfe_vjp"] for run in runs(task, method)]))


def training_rows(task: Task, method: str) -> float:
    """Network rows of a training, forward and backward."""
    return float(np.mean([run.cost["train_nfe"] + run.cost["train_nfe_vjp"] for run in runs(task, method)]))


def seconds(task: Task, method: str) -> float:
    """Of the sampling job, per sample: a rough figure."""
    return float(np.mean([run.cost["seconds"] / run.cost["rows"] for run in runs(task, method)]))


def training_seconds(task: Task, method: str) -> float:
    """Of the training job: a rough figure like `seconds`."""
    return float(np.mean([run.cost["train_seconds"] for run in runs(task, method)]))


def is_chain(task: Task, method: str) -> bool:
    return any(run.header.get("joint") == "chain" for run in runs(task, method))


def log_ratio(one: Values, other: Values) -> Values:
    """log(one / other) on the measurements that both have."""
    return {i: np.log(np.maximum(one[i], LEAST) / np.maximum(other[i], LEAST)) for i in one.keys() & other.keys()}


def pooled(of_tasks: Mapping[str, Values], detail: str, back: Callable[[float], float] = np.exp) -> Finding | str:
    """Mean over tasks within each measurement, then over measurements with its interval, mapped by `back`.

    Tasks are taken as they are: the interval is for these. Measurements that some task lacks are left out.
    """
    of_tasks = {task: values for task, values in of_tasks.items() if values}
    if not of_tasks:
        return "needs values of both methods on the same measurements"
    common = sorted(set.intersection(*(set(values) for values in of_tasks.values())))
    if not common:
        return "needs values of both methods on the same measurements"
    array = np.mean([[values[i] for i in common] for values in of_tasks.values()], axis=0)
    mean, low, high = (float(end[0]) for end in mean_interval(array[..., None], LEVEL))
    ends = (back(low), back(high)) if np.isfinite([low, high]).all() else (None, None)
    by_task = {task: back(float(np.mean(list(values.values())))) for task, values in of_tasks.items()}
    words = f"{detail}; {len(common)} measurements of {_of(by_task)}"
    return Finding(back(mean), *ends, words)


def counted(by_task: Mapping[str, float], detail: str) -> Finding:
    """Geometric mean over tasks and their range: for what is counted, or grows with counts."""
    values = np.array(list(by_task.values()))
    low, high = float(values.min()), float(values.max())
    mean = float(np.exp(np.log(values).mean())) if low > 0 else float(values.mean())
    return Finding(min(max(mean, low), high), low, high, f"{detail}; range over {_of(by_task)}")


def _of(by_task: Mapping[str, float]) -> str:
    """`2 tasks, from 0.5 (gmm-denoise) to 1.2 (gmm-blur)`."""
    if len(by_task) == 1:
        return next(iter(by_task))
    least, most = (f(by_task, key=lambda task: by_task[task]) for f in (min, max))
    return f"{len(by_task)} tasks, from {by_task[least]:.3g} ({least}) to {by_task[most]:.3g} ({most})"


def used(pairs: Sequence[tuple[str, str]]) -> str:
    """`latent_langevin against dps` for the pairs of methods that were compared."""
    return ", ".join(dict.fromkeys(f"{one} against {other}" for one, other in pairs))
