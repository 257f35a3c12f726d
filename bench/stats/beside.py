"""Published rows beside those of a suite: paired on the same measurements, without drawing their samples again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.results import BASELINES
from bench.core.specs import SuiteSpec
from bench.stats.published_rows import PublishedRows, published_rows
from bench.stats.results import RunRecord, SuiteResults, TaskResults, load
from bench.stats.scores import Score

MARK = " (published)"  # end of the name of a published row
CHAIN = "ess_bulk"  # a metric with numbers for chains alone; for others its reason names how samples are related
COSTS = ("nfe", "nfe_vjp", "train_seconds", "train_nfe", "train_nfe_vjp")
Lines = dict[tuple[str, str], dict]  # of a task's summary, by method and metric


def load_with_published(spec_path: str | Path) -> SuiteResults:
    """Return the results that specs/suite.json lists, with the published rows that it names; errors as `load`'s."""
    suite, spec = load(spec_path), SuiteSpec.read(spec_path)
    return with_published(suite, spec.beside) if spec.beside else suite


def with_published(suite: SuiteResults, name: str) -> SuiteResults:
    """Return results with the published rows of the suite `name`, on the tasks that both have.

    Published rows of BASELINES, such as the exact sampler, and of other tasks alone are left out. Raises UserError, one
    line, when a task has other measurements than the published ones, or another number of samples.
    """
    published = published_rows(name)
    _refuse_other_counts(suite, published)
    shared = [task for task in suite.tasks if published.hash_of(task.name)]
    for task in shared:
        refuse_other_measurements(published, task.name, task.measurements["observations_sha256"])
    of_shared = published.summary["task"].isin([task.name for task in shared])
    known_rows = dict.fromkeys(published.summary.loc[of_shared, "method"])
    rows = [row for row in known_rows if row not in BASELINES]
    seeds = published.values[["method", "seed"]].drop_duplicates().groupby("method")["seed"]
    of_rows = {f"{row}{MARK}": tuple(sorted(own)) for row, own in seeds if row in rows}
    known = replace(
        suite,
        methods=(*suite.methods, *(f"{row}{MARK}" for row in rows)),
        training_seeds={**suite.training_seeds, **of_rows},
    )
    tasks = tuple(
        _with_rows(task, rows, known, published) if task in shared else _without(task, rows)
        for task in suite.tasks
    )
    note = (
        f"Rows marked{MARK} are not drawn here: they are those of the suite {name}, published by commit "
        f"{published.commit}, on the same measurements"
    )
    return replace(known, tasks=tasks, beside=note)


def refuse_other_measurements(published: PublishedRows, task: str, sha256: str) -> None:
    """Raise UserError, one line, where the published rows of a task are of other measurements."""
    expected = published.hash_of(task)
    if expected not in (None, sha256):
        raise UserError(
            f"{task}: its measurements (sha256 {sha256[:12]}) are not those of the published suite {published.suite} "
            f"({str(expected)[:12]}); give the task the same settings, or leave out `beside`"
        )


def _refuse_other_counts(suite: SuiteResults, published: PublishedRows) -> None:
    known = published.record.get("num_samples", suite.num_samples)
    if known != suite.num_samples:
        raise UserError(
            f"suite {suite.name}: num_samples is {suite.num_samples}, but the rows of {published.suite} were published "
            f"with {known}; expected the same"
        )


def _without(task: TaskResults, rows: list[str]) -> TaskResults:
    """Return a task that was not published: its published rows are left out."""
    return replace(task, left_out=task.left_out | {f"{row}{MARK}" for row in rows})


def _with_rows(
    task: TaskResults, rows: list[str], suite: SuiteResults, published: PublishedRows
) -> TaskResults:
    summary = published.summary.loc[published.summary["task"] == task.name]
    lines: Lines = {
        (line["method"], line["metric"]): line for line in summary.to_dict(orient="records")
    }
    values = published.values.loc[published.values["task"] == task.name]
    of_rows = dict(list(values.groupby("method")))
    present = [row for row in rows if any(method == row for method, _ in lines)]
    metrics = list(dict.fromkeys(score.metric for score in task.scores))
    scores, runs = list(task.scores), list(task.runs)
    for row in present:
        own = of_rows.get(row, values.iloc[:0])
        of_row = {metric: lines.get((row, metric), {}) for metric in metrics}
        seeds = suite.seeds_of(f"{row}{MARK}")
        scores += _scores(row, of_row, own, suite.num_measured(task), seeds)
        borrowed = ["published"] if row in published.saw_another_prior(task.name) else []
        about: Json = {"borrowed": borrowed, "kind": published.kind_of(row)}
        runs += _runs(row, lines, own, suite.num_measured(task), seeds, about)
    absent = _without(task, [row for row in rows if row not in present])
    return replace(absent, scores=tuple(scores), runs=tuple(runs))


def _scores(
    row: str, lines: dict[str, dict], values: pd.DataFrame, num: int, seeds: Sequence[int]
) -> Iterator[Score]:
    """Yield a score for each metric, measurement and seed of a row: the published value, or why there is none."""
    columns = values[["metric", "measurement", "seed", "value"]].itertuples(index=False)
    known = {(metric, i, seed): float(value) for metric, i, seed, value in columns}
    for metric, line in lines.items():
        reason = _reason(line)
        for i, seed in product(range(num), seeds):
            value = known.get((metric, i, seed))
            why = "" if value is not None else reason
            yield Score(f"{row}{MARK}", seed, i, metric, value, why)


def _reason(line: dict) -> str:
    """Return why a published row lacks values of a metric, from its line in summary.csv."""
    reason = str(line.get("reason", ""))
    if reason.startswith(("n/a", "failed")):
        return reason
    _, _, why = reason.partition("measurements: ")  # "over 3 of 16 measurements: n/a (...)"
    return why or "n/a (not published for each measurement)"


def _runs(
    row: str,
    lines: Lines,
    values: pd.DataFrame,
    num: int,
    seeds: Sequence[int],
    about: Json,
) -> list[RunRecord]:
    """Return a record for each seed of a row, each with the published cost, which is the mean over seeds.

    about: what goes into their headers: `borrowed`, not empty where the row saw another prior, and `kind`.
    """
    cost = lines.get((row, "nfe"), {})
    status, stopped = "ok", str(cost.get("reason", ""))
    if stopped:
        status = "failed" if stopped.startswith("failed") else "n/a"
    number = {name: float(lines.get((row, name), {}).get("mean") or 0) for name in COSTS}
    seconds = float(lines.get((row, "seconds_per_sample"), {}).get("mean") or 0)
    number |= {"seconds": seconds, "rows": 1}
    of_chain = str(lines.get((row, CHAIN), {}).get("reason", ""))
    words = {"independent samples": "independent", "coupled samples": "coupled"}
    words |= {"point estimate": "point"}
    joint = next((joint for said, joint in words.items() if f"({said})" in of_chain), "chain")
    measured = values["measurement"].nunique() or num
    header = {"status": status, "reason": stopped, "joint": joint, "num_measurements": measured}
    header |= {**about, "published": True}
    return [RunRecord(f"{row}{MARK}", seed, header, number) for seed in seeds]
