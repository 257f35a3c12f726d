"""Write the answer in sentences: who is tied for best, whether distances can be trusted, what failed, who made it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.core.layout import Layout
from bench.core.results import BASELINES, DISTANCE, REFERENCE, Summary
from bench.core.text import shortened
from bench.report.end_of_run import duration
from bench.report.front.columns import CALLS, LABELS, OVER_FLOOR
from bench.report.front.references import NO_REFERENCE, has_reference
from bench.report.front.standings import Front, Known, Standing, by_key, judged_tasks
from bench.report.origins import is_installed
from bench.stats.results import SuiteResults, TaskResults, format_reason

MOST = 6  # methods that a sentence names


@dataclass(frozen=True)
class Named:
    """The name of a method or a task inside a sentence; `kind` is "method" or "task"."""

    name: str
    kind: str = "method"


Sentence = tuple[str | Named, ...]


@dataclass(frozen=True)
class Verdict:
    """The answer in sentences: which methods are best, whether distances are right, what failed, who made it.

    distances_state, failures_state: "good", "bad" or "unknown".
    """

    best: Sentence
    distances: Sentence
    distances_state: str
    failures: Sentence
    failures_state: str
    made: str

    @property
    def plain_best(self) -> str:
        """Return the first sentence as text."""
        return words_of(self.best)


def words_of(sentence: Sentence) -> str:
    """Return a sentence as text."""
    return "".join(part if isinstance(part, str) else part.name for part in sentence)


def verdict_of(suite: SuiteResults, lines: Sequence[Summary], front: Front) -> Verdict:
    """Return the sentences on a suite's results."""
    known = by_key(lines)
    distances, distances_state = _checked_distances(suite, known, front.headline)
    failures, failures_state = _failures(suite)
    return Verdict(
        _best(front, suite), distances, distances_state, failures, failures_state, _made(suite)
    )


def _best(front: Front, suite: SuiteResults) -> Sentence:
    """Return who is tied for best, at what cost and how far from the floor; of rows drawn here beside published ones
    first where they stand.
    """
    rows = [row for row in front.methods if row.compared]
    name = LABELS.get(front.headline, front.headline)
    own = _own(front, suite, name) if suite.beside else ()
    if not rows:
        return (*own, *_untested(front, suite, name))
    always = [row for row in rows if row.tied == row.compared]
    always.sort(key=lambda row: -row.compared)
    most_often = _most_often(rows)
    groups: list[str | Named] = []
    if always:
        groups += [
            f"Tied for best by {name} on every task where they were compared: ",
            *_listed(always, front),
            ".",
        ]
    if most_often not in always:
        groups += [" " if always else "No method is tied for best everywhere. "]
        groups += [
            Named(most_often.method),
            f", compared on {_tasks(most_often.compared)}, is tied for best on ",
        ]
        groups += [
            f"{most_often.tied} ({_cost_words(most_often, front)})." if most_often.tied else "none."
        ]
    return (*own, *groups, _scale(front, rows))


def _most_often(rows: Sequence[Standing]) -> Standing:
    """Return the row that is tied for best on most tasks; of equal ones the first."""
    return max(rows, key=lambda row: (row.tied, row.compared))


def _own(front: Front, suite: SuiteResults, name: str) -> Sentence:
    """Return a sentence on where the rows drawn here stand, and where the best published one does."""
    here = {run.method for task in suite.tasks for run in task.runs if not run.is_published}
    own = [row for row in front.methods if row.method in here]
    published = [row for row in front.methods if row.method not in here]
    if not own:
        return ()
    words: list[str | Named] = [f"Drawn here, by {name}: "]
    for k, row in enumerate(own[:MOST]):
        words += ["; " if k else "", Named(row.method), f" is {_place(row, front)}"]
    words += [f"; and {len(own) - MOST} more"] if len(own) > MOST else []
    if published:
        best = _most_often(published)
        words += ["; the best published row, "]
        words += [Named(best.method), f", is {_place(best, front)}"]
    return (*words, ". ")


def _place(row: Standing, front: Front) -> str:
    """Return `tied for best on 1 of 2 tasks (mean 0.21, 400 network calls a sample)`, or that it was not compared."""
    mean = front.number(row, front.headline).text
    about = f"mean {mean}, {_cost_words(row, front)}" if mean else _cost_words(row, front)
    if not row.compared:
        return f"not compared ({about})" if row.done else "without samples"
    return f"tied for best on {row.tied} of {_tasks(row.compared)} ({about})"


def _untested(front: Front, suite: SuiteResults, name: str) -> Sentence:
    """Return the sentence on a suite in which no two methods could be tested against each other."""
    rows = [row for row in front.methods if row.done]
    if not rows:
        return ("No method has samples yet.",)
    first = (Named(rows[0].method), f" ({_cost_words(rows[0], front)}).", _scale(front, rows))
    if len(rows) == 1:
        return ("One method ran, so nothing is compared: ", *first)
    if not any(_num_ended_well(task) > 1 for task in suite.tasks):
        return ("No methods can be compared: there is no task on which two of them ran.",)
    leading = next((column for column in front.columns if column.goal), None)
    if leading is None or front.number(rows[0], leading.id).value is None:
        return (f"No methods can be compared: none has a value of {name}.",)
    words = "There are too few measurements to say whether any method is better than another. "
    return (words, f"The best mean by {leading.label}, which may be chance, is that of ", *first)


def _num_ended_well(task: TaskResults) -> int:
    """Return how many methods, without floor and ceiling, have samples of a task."""
    ended = {run.method for run in task.runs if run.header.get("status", "ok") == "ok"}
    return len(ended.difference(BASELINES))


def _listed(rows: Sequence[Standing], front: Front) -> Iterable[str | Named]:
    """Yield names with the number of tasks and what they cost; the first table hides variants, so they are named."""
    for k, row in enumerate(rows[:MOST]):
        yield "; " if k else ""
        yield Named(row.method)
        variant = f"a variant of {row.variant_of}, " if row.variant_of else ""
        yield f" ({variant}{_tasks(row.compared)}, {_cost_words(row, front)})"
    if len(rows) > MOST:
        yield f"; and {len(rows) - MOST} more"


def _cost_words(row: Standing, front: Front) -> str:
    """Return `400 network calls a sample, 4 % over the floor`, as far as it is known."""
    calls, over = (front.number(row, column) for column in (CALLS, OVER_FLOOR))
    parts = [f"{calls.text} network calls a sample"] if calls.text else []
    parts += [f"{over.text} over the floor"] if over.text else []
    return ", ".join(parts or ["cost not measured"])


def _scale(front: Front, rows: Sequence[Standing]) -> str:
    """Return a sentence on what 0 % and 100 % over the floor mean; "" where no such share is shown."""
    if not any(front.number(row, OVER_FLOOR).text for row in rows):
        return ""
    return " Exact draws are at the floor, 0 %; draws of the prior, which ignore the measurement, are at 100 %."


def _tasks(num: int) -> str:
    return f"{num} task" + ("s" if num != 1 else "")


def _checked_distances(suite: SuiteResults, known: Known, headline: str) -> tuple[Sentence, str]:
    """Return whether the exact sampler, run like any method, is at the floor, and whether references are admitted."""
    if not has_reference(suite):
        return (f"{NO_REFERENCE}.",), "unknown"
    metric = headline if (suite.tasks[0].name, REFERENCE, headline) in known else DISTANCE
    good, bad = [], []
    for task in judged_tasks(suite):
        oracle, floor = (known.get((task.name, m, metric)) for m in ("oracle", REFERENCE))
        if oracle and floor and oracle.mean is not None and floor.mean is not None:
            (good if _overlap(oracle, floor) else bad).append(task.name)
    admitted = _not_admitted(suite)
    if bad:
        words = "Distances are not right: the exact sampler (oracle) is not at the floor on "
        return (words, *_names(bad), f"; do not trust distances there{admitted}."), "bad"
    if not good:
        return (f"Distances were not checked: no exact sampler (oracle) ran{admitted}.",), "unknown"
    num = len(judged_tasks(suite))
    rest = f" (it cannot run on {num - len(good)})" if num > len(good) else ""
    words = f"Distances are right: the exact sampler (oracle), run like any method, is at the floor on {len(good)} of "
    return (f"{words}{_tasks(num)}{rest}{admitted}.",), "unknown" if admitted else "good"


def _overlap(one: Summary, other: Summary) -> bool:
    """Return whether the intervals of two means meet."""
    (low, high), (other_low, other_high) = _interval(one), _interval(other)
    return low <= other_high and other_low <= high


def _interval(line: Summary) -> tuple[float, float]:
    mean = line.mean or 0.0
    return mean if line.low is None else line.low, mean if line.high is None else line.high


def _not_admitted(suite: SuiteResults) -> str:
    """Return which tasks have measurements whose reference draws failed their checks; "" for none."""
    parts = []
    for task in judged_tasks(suite):
        admitted = task.reference.get("admitted") or []
        if not all(admitted):
            parts.append(f"{task.name} for {len(admitted) - sum(admitted)} of {len(admitted)}")
    return (
        f"; reference draws failed their checks on {', '.join(parts)} measurements" if parts else ""
    )


def _failures(suite: SuiteResults) -> tuple[Sentence, str]:
    """Return what failed and why, what could not run, and how many pairs the suite leaves out."""
    runs = [(task.name, run) for task in suite.tasks for run in task.runs if not run.is_published]
    state = [run.header.get("status", "ok") for _, run in runs]
    left_out = sum(len(task.left_out) for task in suite.tasks)
    rest = f"; {state.count('n/a')} not applicable" if "n/a" in state else ""
    rest += f"; {left_out} pairs of task and method left out by the suite" if left_out else ""
    ended_badly = [pair for pair, end in zip(runs, state, strict=True) if end not in ("ok", "n/a")]
    references, examinations = _failed_references(suite), _failed_examinations(suite)
    if not ended_badly and not references and not examinations:
        return (
            f"Nothing failed: {state.count('ok')} runs of {len(runs)} ended well{rest}.",
        ), "good"
    words: list[str | Named] = [f"{len(ended_badly)} of {len(runs)} runs failed"]
    for k, (task, run) in enumerate(ended_badly[:3]):
        reason = format_reason(run.header["status"], run.header.get("reason", ""))
        words += ["; " if k else ": ", Named(run.method), " on ", Named(task, "task")]
        words += [f": {shortened(reason, 90)}"]
    words += [f"; and {len(ended_badly) - 3} more"] if len(ended_badly) > 3 else []
    for task, reason in references.items():
        words += ["; reference draws of ", Named(task, "task"), f": {shortened(reason, 90)}"]
    return (*words, *examinations, f"{rest}."), "bad"


def _failed_references(suite: SuiteResults) -> dict[str, str]:
    """Return the tasks whose reference draws could not be made, though they were wanted, and why."""
    reasons = {task.name: task.reference.get("reasons") or [""] for task in suite.tasks}
    return {name: why[0] for name, why in reasons.items() if str(why[0]).startswith("failed")}


def _failed_examinations(suite: SuiteResults) -> list[str]:
    """Return which checkpoints failed their examination, and what to do, a clause for each."""
    clauses = []
    for path, facts in suite.examinations.items():
        clauses.append(
            f"; the checkpoint of prior {path.parent.name} failed its examination ({shortened(facts[0], 90)}), so its "
            "network is not opened as it was trained: compare family and parameters in the suite's file with the "
            f"model's own, and check with posterior-bench weights examine {path}"
        )
    return clauses


def _names(tasks: Sequence[str]) -> list[str | Named]:
    parts: list[str | Named] = []
    for k, task in enumerate(tasks):
        parts += [", " if k else "", Named(task, "task")]
    return parts


def _made(suite: SuiteResults) -> str:
    """Return commit, date, machine and minutes."""
    commits = sorted({origin.commit[:12] for origin in suite.origins})
    edited = any(origin.dirty is not False for origin in suite.origins)
    source = f"Commit {', '.join(commits) or 'unknown'}{' with edited sources' if edited else ''}"
    runs = [run for task in suite.tasks for run in task.runs if not run.is_published]
    about = next((run.header["provenance"] for run in runs if "provenance" in run.header), {})
    versions = about.get("versions", {})
    machine = ", ".join(
        str(part)
        for part in (
            about.get("machine", "machine not recorded"),
            about.get("device"),
            f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
            if about.get("threads")
            else None,
            f"torch {versions['torch']}" if "torch" in versions else None,
        )
        if part
    )
    sampling, training = (
        sum(x for run in runs if math.isfinite(x := float(run.cost.get(key) or 0)))
        for key in ("seconds", "train_seconds")
    )
    parts = [
        "Made by an installed copy" if is_installed(suite.origins) else source,
        _date(suite),
        machine,
        f"{duration(sampling)} of sampling and {duration(training)} of training (processor time)",
    ]
    return " · ".join(part for part in parts if part)


def _date(suite: SuiteResults) -> str:
    """Return the day on which the last metrics were written, in UTC; "" where there are no files."""
    files: list[Path] = [Layout(suite.root).task(task.name).metrics for task in suite.tasks]
    times = [path.stat().st_mtime for path in files if path.exists()]
    return f"{datetime.fromtimestamp(max(times), UTC):%-d %B %Y}" if times else ""
