"""The cost of a posterior sample, training included, and the rows of a suite that are above its stated budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bench.stats.results import RunRecord, SuiteResults


def rows_per_sample(run: RunRecord, num_samples: int) -> float:
    """Return rows through the prior's network per sample, forward and backward, with the share of its training.

    num_samples: of all measurements of the task, which share the training.
    """
    cost = run.cost
    training = cost["train_nfe"] + cost["train_nfe_vjp"]
    return cost["nfe"] + cost["nfe_vjp"] + training / num_samples


def above_budget(suite: SuiteResults, budget: float | None) -> dict[str, float]:
    """Return the most rows per sample on any task of each row that is above a budget; {} without one."""
    if budget is None:
        return {}
    most: dict[str, float] = {}
    for task in suite.tasks:
        num_samples = suite.num_measured(task) * suite.num_samples
        for run in task.runs:
            if run.header.get("status", "ok") == "ok":
                rows = rows_per_sample(run, num_samples)
                most[run.method] = max(most.get(run.method, 0.0), rows)
    return {method: rows for method, rows in most.items() if rows > budget}


def within_budget(suite: SuiteResults) -> SuiteResults:
    """Return the results without the rows above the stated budget; the same ones where there is none above it."""
    above = above_budget(suite, suite.budget_rows)
    kept = tuple(method for method in suite.methods if method not in above)
    return replace(suite, methods=kept) if above else suite


def without(suite: SuiteResults, methods: Collection[str], metric: str) -> SuiteResults:
    """Return the results without some rows, and with one metric that has a direction, so that only it is compared."""
    tasks = tuple(
        replace(task, better={name: way for name, way in task.better.items() if name == metric})
        for task in suite.tasks
    )
    kept = tuple(method for method in suite.methods if method not in methods)
    return replace(suite, methods=kept, tasks=tasks)


def budget_notes(budget: float | None, above: Mapping[str, float]) -> tuple[str, ...]:
    """Return the notes of a table on its budget: one sentence, and which rows are above it; () without a budget."""
    if budget is None:
        return ()
    stated = (
        f"Budget: at most {budget:g} rows through the prior's network per sample, forward and backward, with training "
        "shared by all samples of a task"
    )
    marked = ", ".join(f"{method} ({rows:,.0f})" for method, rows in above.items())
    words = f"‡ needs more, is not compared with the others and never bold: {marked}"
    return (stated, words) if above else (stated,)
