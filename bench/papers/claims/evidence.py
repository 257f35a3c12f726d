"""What claims are tested on: values per measurement, network rows and seconds of a suite's runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench.core.artefacts import Json
from bench.papers.claims.effects import Values
from bench.stats.results import RunRecord, SuiteResults, TaskResults
from bench.stats.values import MetricValues, values_of_task

DISTANCE, FIDELITY, DIVERSITY, EFFECTIVE = "sw2-128", "psnr_mean", "diversity_ratio", "ess_bulk"
# to the posterior under a distilled map's teacher: only tasks of such maps have it
TEACHER_DISTANCE = "sw2-128_total"
ALIKE = 1.25  # costs that differ by less than this factor count as equal


@dataclass(frozen=True)
class Evidence:
    """The results of a suite, looked up by task and method."""

    suite: SuiteResults
    columns: dict[str, dict[tuple[str, str], MetricValues]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "columns",
            {task.name: values_of_task(task, self.suite) for task in self.suite.tasks},
        )

    def methods_of(self, task: TaskResults, plugin: str) -> list[str]:
        """Return the rows `plugin` and `plugin-...` that ran on a task, also where they failed; the plain one first."""
        rows = [row for row in self.suite.methods if f"{row}-".startswith(f"{plugin}-")]
        ran = [
            row
            for row in rows
            if any(run.header.get("status", "ok") != "n/a" for run in runs_of(task, row))
        ]
        return sorted(ran, key=lambda row: row != plugin)

    def first_method_of(self, task: TaskResults, plugin: str) -> str | None:
        """Return the first of `methods_of`, None where there is none."""
        return next(iter(self.methods_of(task, plugin)), None)

    def values(self, task: TaskResults, method: str, metric: str) -> Values:
        """Return a metric by measurement.

        A failed measurement is as far away as the worst of all methods there, and has no values of other metrics.
        """
        column = self.columns[task.name].get((method, metric))
        if column is None:
            return {}
        values = {i: np.array(of_seeds) for i, of_seeds in column.values.items()}
        if metric == DISTANCE:
            columns = [c for (_, name), c in self.columns[task.name].items() if name == metric]
            for i in column.failed:
                worst = max((max(c.values[i]) for c in columns if i in c.values), default=np.nan)
                values[i] = np.full(len(self.suite.seeds_of(method)), worst)
        return {i: of_seeds for i, of_seeds in values.items() if np.isfinite(of_seeds).all()}

    def timing(self, task: TaskResults, method: str | None) -> Json | None:
        """Return timing.json of a run; None where it was not clocked, or drew nothing."""
        of_run = [t for t in self.suite.timings if (t["task"], t["method"]) == (task.name, method)]
        return next((timing for timing in of_run if timing.get("curve")), None)


def runs_of(task: TaskResults, method: str) -> list[RunRecord]:
    """Return the runs of a row on a task, one per seed."""
    return [run for run in task.runs if run.method == method]


def settings_of(task: TaskResults, method: str) -> Json:
    """Return what the suite sets of a row's hyperparameters; what it leaves out has the plug-in's default."""
    return runs_of(task, method)[0].cost.get("settings", {})


def is_chain(task: TaskResults, method: str) -> bool:
    """Return whether the samples of a row are states of chains."""
    return any(run.header.get("joint") == "chain" for run in runs_of(task, method))


def nfe_of(task: TaskResults, method: str) -> float:
    """Return network rows forward per posterior sample (NFE)."""
    return float(np.mean([run.cost["nfe"] for run in runs_of(task, method)]))


def rows_of(task: TaskResults, method: str) -> float:
    """Return network rows per posterior sample, forward and backward."""
    return float(np.mean([run.cost["nfe"] + run.cost["nfe_vjp"] for run in runs_of(task, method)]))


def training_rows_of(task: TaskResults, method: str) -> float:
    """Return network rows of a training, forward and backward."""
    return float(
        np.mean(
            [run.cost["train_nfe"] + run.cost["train_nfe_vjp"] for run in runs_of(task, method)]
        )
    )


def seconds_of(task: TaskResults, method: str) -> float:
    """Return seconds of the sampling job per sample: a rough figure."""
    return float(np.mean([run.cost["seconds"] / run.cost["rows"] for run in runs_of(task, method)]))


def training_seconds_of(task: TaskResults, method: str) -> float:
    """Return seconds of the training job: a rough figure like `seconds_of`."""
    return float(np.mean([run.cost["train_seconds"] for run in runs_of(task, method)]))
