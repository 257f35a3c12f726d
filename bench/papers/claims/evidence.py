"""The evidence for a claim: values per measurement, network rows and seconds of the rows that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.artefacts import Json
from bench.stats.results import RunRecord, SuiteResults, TaskResults
from bench.stats.values import MetricValues, values_of_task

ENERGY, WORTH = "energy", ("worth_mean", "worth_energy")  # beginnings of columns


class Lacking(Exception):
    """The suite lacks what a claim needs; the message says what is missing."""


@dataclass(frozen=True)
class Evidence:
    """The results of a suite, looked up by task and row; a look-up of something missing raises Lacking."""

    suite: SuiteResults
    columns: dict[str, dict[tuple[str, str], MetricValues]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        columns = {task.name: values_of_task(task, self.suite) for task in self.suite.tasks}
        object.__setattr__(self, "columns", columns)

    def require(self, tasks: Sequence[str], rows: Sequence[str]) -> None:
        """Raise Lacking where a row did not run on a task, or a trained row has fewer than two seeds."""
        for task in tasks:
            for row in rows:
                runs = self.runs(task, row)
                states = {run.header.get("status", "ok") for run in runs}
                if "n/a" in states:
                    raise Lacking(
                        f"needs {row} on {task}: n/a ({runs[0].header.get('reason', '')})"
                    )
                if self.is_trained(task, row) and len(runs) < 2:
                    raise Lacking(f"needs two training seeds or more of {row} on {task}")

    def runs(self, task: str, row: str) -> list[RunRecord]:
        """Return the runs of a row on a task, one per seed."""
        runs = [run for run in self._task(task, row).runs if run.method == row]
        if not runs:
            raise Lacking(f"needs {row} on {task}, which the suite {self.suite.name} does not run")
        return runs

    def _task(self, name: str, row: str) -> TaskResults:
        found = next((task for task in self.suite.tasks if task.name == name), None)
        if found is None:
            raise Lacking(
                f"needs {row} on {name}, a task that the suite {self.suite.name} does not have"
            )
        return found

    def values(self, tasks: Sequence[str], rows: Sequence[str], column: str) -> np.ndarray:
        """Return a column `(tasks, rows, n, s)` on the measurements that all rows have on all tasks.

        A row with one seed has its values repeated for each seed of the others. In energy and in worth, a measurement
        that failed counts as the worst value that any row has there; in other columns it is left out. For worth, whose
        average is harmonic, the reciprocals are returned, which are relative errors.
        """
        self.require(tasks, rows)
        found = {(task, row): self._values(task, row, column) for task in tasks for row in rows}
        for (task, row), values in found.items():
            if not values:
                raise Lacking(f"needs {column} of {row} on {task}")
        common = sorted(set.intersection(*(set(values) for values in found.values())))
        if not common:
            raise Lacking(f"needs {column} of {', '.join(rows)} on the same measurements")
        shape = (len(common), max(len(found[key][common[0]]) for key in found))
        arrays = {
            key: np.broadcast_to([values[i] for i in common], shape)
            for key, values in found.items()
        }
        return np.array([[arrays[task, row] for row in rows] for task in tasks], float)

    def _values(self, task: str, row: str, column: str) -> dict[int, np.ndarray]:
        cell = self.columns[task].get((row, column))
        if cell is None:
            return {}
        values = {i: np.array(of_seeds, float) for i, of_seeds in cell.compared.items()}
        if column.startswith(WORTH) or column.startswith(ENERGY):
            others = [c for (_, name), c in self.columns[task].items() if name == column]
            for i in cell.failed:
                worst = [max(c.compared[i]) for c in others if i in c.values]
                values[i] = np.full(len(self.runs(task, row)), max(worst, default=np.nan))
        return {i: of_seeds for i, of_seeds in values.items() if np.isfinite(of_seeds).all()}

    def rows_per_sample(self, task: str, row: str) -> float:
        """Return network rows per posterior sample, forward and backward."""
        costs = [run.cost for run in self.runs(task, row)]
        return float(np.mean([cost["nfe"] + cost["nfe_vjp"] for cost in costs]))

    def training_rows(self, task: str, row: str) -> float:
        """Return network rows of a training, forward and backward."""
        costs = [run.cost for run in self.runs(task, row)]
        return float(np.mean([cost["train_nfe"] + cost["train_nfe_vjp"] for cost in costs]))

    def training_seconds(self, task: str, row: str) -> np.ndarray:
        """Return seconds of the training job by seed."""
        return np.array([run.cost["train_seconds"] for run in self.runs(task, row)], float)

    def is_trained(self, task: str, row: str) -> bool:
        """Return whether a row has a training of its own, before it sees the measurements."""
        return any(run.cost.get("train_seconds", 0) > 0 for run in self.runs(task, row))

    def timed_call(self, task: str, row: str, num_samples: int) -> Json:
        """Return the clock's cell of `num_samples` samples of one measurement."""
        timings = [t for t in self.suite.timings if (t["task"], t["method"]) == (task, row)]
        cells = [cell for timing in timings for cell in timing.get("curve", ())]
        found = next((cell for cell in cells if cell["s"] == num_samples), None)
        if found is None:
            self.runs(task, row)
            raise Lacking(f"needs the clock's times of {num_samples} samples of {row} on {task}")
        return found

    def seconds(self, task: str, row: str, num_samples: int) -> np.ndarray:
        """Return the median seconds of a call of the clock at each of its visits."""
        return np.array(self.timed_call(task, row, num_samples).get("medians", ()), float)
