"""posterior-bench: compare posterior samplers with the truth.

    import bench
    task = bench.load_task("gmm-inpaint-box")
    x = bench.sample(my_method, task, num_samples=64)
    bench.evaluate(task, x)
    bench.leaderboard("default", mine={"my_method": x}, task="gmm-inpaint-box")

Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

    from bench.api.sampling import Cost
    from bench.core.types import Method, Prior
    from bench.task import Task

__all__ = ["evaluate", "leaderboard", "load_prior", "load_task", "sample"]


def load_task(name: str, suite: str = "default", *, results: str | Path | None = None) -> Task:
    """Return a task of a suite: prior, problem, measurements and reference draws.

    suite: a name in config/, or the path of a YAML file. results: the suite's folder; by default results/<suite> where
    the task is finished there. A task that is nowhere is made, with the same measurements for everybody, in the user's
    cache folder: in seconds where the prior is a mixture or a finite set with an exact posterior, in minutes where
    networks are trained. Raises UserError, one line, for a task that the suite does not have.
    """
    from bench.api.tasks import open_or_make_task

    return open_or_make_task(name, suite, None if results is None else Path(results))


def load_prior(name: str, suite: str = "default", *, results: str | Path | None = None) -> Prior:
    """Return a prior of a suite by its name, made where it is not on disk; arguments as in `load_task`."""
    from bench.api.tasks import open_or_make_prior

    return open_or_make_prior(name, suite, None if results is None else Path(results))


def sample(
    method: Method | str | Path,
    task: Task,
    num_samples: int = 64,
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    rows_per_chunk: int = 1024,
    with_cost: bool = False,
) -> Tensor | tuple[Tensor, Cost]:
    """Return posterior samples (m, num_samples, *x) of each of the task's m measurements.

    method: an object, the name of one in methods/, or the path of a file. settings: hyperparameters for a name or a
    path. Streams of random numbers, chunks and training are those of the workflow, so that the same settings give the
    same samples. with_cost: also return what it cost. Raises `Unsupported` where prior or problem lack a capability.
    """
    from bench.api.sampling import draw_samples, method_of

    x, cost = draw_samples(
        method_of(method, settings or {}), task, num_samples, seed, rows_per_chunk
    )
    return (x, cost) if with_cost else x


def evaluate(task: Task, x: Tensor) -> pandas.DataFrame:
    """Return every metric of samples x (m, s, *x): columns metric, measurement, value and reason.

    measurement: its number, or "all" for a number of the whole task. value: NaN where a metric makes no sense here, and
    `reason` says why. Samples may be of the task's first measurements only.
    """
    from bench.api.evaluation import evaluate_samples

    return evaluate_samples(task, x)


def leaderboard(
    suite: str = "default",
    mine: Mapping[str, Tensor] | None = None,
    *,
    task: str | Task | None = None,
) -> pandas.DataFrame:
    """Return the published rows of a suite, with those of my samples.

    Columns: task, method, metric, mean, low, high, num_failed, reason, remark ("other prior": a row that saw another
    prior than the one whose posterior it is judged by); with samples also difference, difference_low and
    difference_high: the row minus the first of `mine`, paired over the measurements. mine: samples (m, s, *x) by the
    name that their row gets, of all the task's measurements. task: the one that the samples are of; None returns the
    rows of all tasks, and takes no samples. Intervals are over measurements, and over the seeds of a row that has
    several, at the same level as the published ones.
    Where the values of each measurement are not published, or are of other measurements, differences are empty and a
    warning says why; another warning says where samples are not as many as the published rows have.
    """
    from bench.api.leaderboards import published_and_mine

    return published_and_mine(suite, {} if mine is None else mine, task)
