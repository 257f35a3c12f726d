"""Add a user's samples to the published rows of a suite, and compare the two on each measurement."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from bench.api.evaluation import evaluate_samples, samples_of
from bench.api.tasks import open_or_make_task
from bench.core.errors import UserError
from bench.core.published_suites import VALUES
from bench.core.results import OTHER_PRIOR
from bench.metrics._evaluation import built_in_columns
from bench.stats.averages import averaged
from bench.stats.published_rows import PublishedRows, published_rows
from bench.stats.summary import LEVEL
from bench.task import Task

COLUMNS = ["task", "method", "metric", "mean", "low", "high", "num_failed", "reason"]
REMARK = "remark"  # column with OTHER_PRIOR, for rows that saw another prior than the one they are judged by
PAIRED = ["difference", "difference_low", "difference_high"]


def published_and_mine(
    suite: str, mine: Mapping[str, Tensor], task: str | Task | None
) -> pd.DataFrame:
    """Return the rows of a suite's published summary.csv, then one row for each of `mine`, with PAIRED columns.

    mine: samples (m, s, *x) by name; the prior that they saw is unknown, so that their REMARK is empty. If nothing can
    be paired, the PAIRED columns are empty and one warning says why.
    """
    rows_of_suite = published_rows(suite)
    published = with_remarks(rows_of_suite)
    if not isinstance(mine, Mapping):
        raise UserError(
            f"leaderboard: mine is a {type(mine).__name__}; expected a dict, name of the row -> samples"
        )
    if mine and task is None:
        raise UserError("leaderboard: samples need the task that they are of; give task=")
    if task is None:
        return published
    name = task if isinstance(task, str) else task.name
    rows = rows_of_task(published, name, suite, mine)
    if not mine:
        return rows.reset_index(drop=True)
    opened = task if isinstance(task, Task) else open_or_make_task(name, suite, None)
    values = {method: values_of(opened, method, x) for method, x in mine.items()}
    warn_of_other_counts(rows_of_suite, {method: len(x[0]) for method, x in mine.items()})
    board = pd.concat(
        [rows, *(means_of(name, method, frame) for method, frame in values.items())],
        ignore_index=True,
    )
    return with_differences(board, values, published_values(rows_of_suite, opened))


def rows_of_task(
    published: pd.DataFrame, task: str, suite: str, mine: Mapping[str, Tensor]
) -> pd.DataFrame:
    """Return the published rows of a task; raise UserError if there are none, or `mine` has the name of one."""
    rows = published.loc[published["task"] == task]
    if rows.empty:
        known = ", ".join(dict.fromkeys(published["task"]))
        raise UserError(
            f"leaderboard: no published rows of task {task} in {suite}; expected one of {known}"
        )
    if taken := [method for method in mine if method in set(rows["method"])]:
        raise UserError(
            f"leaderboard: {', '.join(taken)} is the name of a published row; give yours another one"
        )
    return rows


def warn_of_other_counts(published: PublishedRows, counts: Mapping[str, int]) -> None:
    """Warn where samples are not as many of each measurement as the published rows have."""
    expected = published.record.get("num_samples")
    other = [f"{method} has {num}" for method, num in counts.items() if num != expected]
    if expected and other:
        warnings.warn(
            f"leaderboard: {', '.join(other)} samples of each measurement, the published rows {expected}; compare "
            "columns whose mean does not depend on that number (energy), and not worth in exact draws or sw2",
            stacklevel=4,
        )


def with_remarks(published: PublishedRows) -> pd.DataFrame:
    """Return the published rows, with a remark on those that saw another prior than the one they are judged by."""
    lines = published.summary.loc[:, COLUMNS]
    pairs = zip(lines["task"], lines["method"], strict=True)
    other = [method in published.saw_another_prior(task) for task, method in pairs]
    return lines.assign(**{REMARK: [OTHER_PRIOR if is_other else "" for is_other in other]})


def published_values(published: PublishedRows, task: Task) -> pd.DataFrame | None:
    """Return a task's published values of each seed, as `compared` transforms them.

    Where samples cannot be paired with them, warn and return None.
    """
    why = ""
    if not (published.folder / VALUES).exists():
        why = f"{published.folder / VALUES} is missing"
    elif published.hash_of(task.name) != task.header["observations_sha256"]:
        why = f"the published rows of {task.name} are of other measurements than this task's"
    if why:
        warnings.warn(f"leaderboard: means only, no paired differences: {why}", stacklevel=4)
        return None
    values = published.values
    return compared(values.loc[values["task"] == task.name])


def values_of(task: Task, method: str, x: Tensor) -> pd.DataFrame:
    """Return the evaluation of samples; raise UserError unless there are samples of every measurement of the task."""
    x = samples_of(task, x)
    if len(x) != len(task.y):
        raise UserError(
            f"samples of {method} are of {len(x)} measurements; published rows are of all {len(task.y)} of "
            f"{task.name}: draw samples of all of them"
        )
    return evaluate_samples(task, x)


def means_of(task: str, method: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the task's measurements with their intervals, a line per metric."""
    lines = []
    for metric, cells in frame.groupby("metric", sort=False):
        reasons = [reason for reason in cells["reason"] if reason]
        failed = sum(reason.startswith("failed") for reason in reasons)
        is_harmonic = metric in harmonic_columns()
        values = cells["value"].to_numpy()
        numbers = (None,) * 3 if reasons else averaged(values, is_harmonic, LEVEL)
        lines.append((task, method, metric, *numbers, failed, reasons[0] if reasons else ""))
    return pd.DataFrame(lines, columns=COLUMNS).assign(**{REMARK: ""})


def with_differences(
    board: pd.DataFrame, mine: Mapping[str, pd.DataFrame], published: pd.DataFrame | None
) -> pd.DataFrame:
    """Return the board with PAIRED: each row minus the first row of `mine`, over the measurements that both have.

    For worth in exact draws, the differences are those of its reciprocal, the relative error. Of a row with several
    seeds, each seed is compared with the samples of `mine`, and measurements and seeds are crossed as in the tables.
    """
    board[PAIRED] = np.nan
    if published is None:
        return board
    own = [
        compared(frame[frame["measurement"] != "all"]).assign(method=method, seed=0)
        for method, frame in mine.items()
    ]
    everything = pd.concat([published, *own]).astype({"measurement": int}).dropna(subset="value")
    table = everything.pivot_table(
        index="measurement", columns=["metric", "method", "seed"], values="value"
    )
    known = {key[:2] for key in table.columns}
    first = next(iter(mine))
    for i, method, metric in board.loc[board["mean"].notna(), ["method", "metric"]].itertuples():
        if method != first and {(metric, method), (metric, first)} <= known:
            of_seeds, of_first = (table[metric][name] for name in (method, first))
            differences = of_seeds.sub(of_first[0], axis=0).dropna().to_numpy()
            if len(differences) > 1:
                board.loc[i, PAIRED] = averaged(differences, False, LEVEL)
    return board


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the values with those of columns whose average is harmonic replaced by their reciprocals."""
    is_harmonic = frame["metric"].isin(harmonic_columns())
    return frame.assign(value=frame["value"].where(~is_harmonic, 1 / frame["value"]))


@functools.cache
def harmonic_columns() -> frozenset[str]:
    """Return the columns whose average is the harmonic mean."""
    return frozenset(column.id for column in built_in_columns() if column.average == "harmonic")
